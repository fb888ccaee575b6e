/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scatterlist of a struct sk_msg (linux/skmsg.h) as the kernel walks it. native/sk_msg.py gives the offsets and
 * decodes struct sg_list.
 */
#pragma once
#include <kprobe_tool.h>

/* NR_MSG_FRAG_IDS: the last entry of sk_msg.sg.data only chains. */
#define SG_RING (SG_DATA_SIZE / SG_ENTRY_SIZE - 1)

/* linux/scatterlist.h: SG_CHAIN and SG_END share page_link with the pointer. */
#define SG_CHAIN 1ULL
#define SG_PAGE_LINK_MASK 3ULL
/* linux/page-flags.h */
#define PAGE_MAPPING_ANON 1ULL
#define PAGE_MAPPING_FLAGS 3ULL

enum page_kind { PAGE_NONE, PAGE_KERNEL, PAGE_ANON, PAGE_CACHE };

/* ino and dev are of the file where kind is PAGE_CACHE; dev is the kernel's dev_t. copy is the element's copy bit. */
struct sg_element {
	u64 ino;
	u32 dev;
	u32 offset;
	u32 length;
	u8 index;
	u8 kind;
	u8 copy;
	u8 exposed;
};

/* The elements from start to end. exposed counts those of the page cache that have lost their copy bit. */
struct sg_list {
	u64 copy;
	u32 start;
	u32 curr;
	u32 end;
	u32 size;
	u32 count;
	u32 exposed;
	struct sg_element element[SG_RING];
};

/* How much of a struct sg_list is filled. */
#define SG_LIST_LENGTH(list)                                                                                           \
	(sizeof(*(list)) - sizeof((list)->element) + (list)->count * sizeof((list)->element[0]))

/* linux/page-flags.h, _compound_head(): bit 0 marks a tail page; the rest is its head, or since v7.0 a mask. */
static __always_inline u64 page_head(u64 page)
{
	u64 head;

	READ(head, page, PAGE_COMPOUND);
	if (!(head & 1))
		return page;
	return head >= 0xffffffffc0000000ULL ? page & head : head - 1;
}

static __always_inline void page_read(struct sg_element *element, u64 page)
{
	u64 mapping, host, sb;

	page = page_head(page);
	READ(mapping, page, PAGE_MAPPING);
	element->kind = PAGE_KERNEL;
	if (mapping & PAGE_MAPPING_ANON)
		element->kind = PAGE_ANON;
	if (!mapping || mapping & PAGE_MAPPING_FLAGS)
		return;
	READ(host, mapping, ADDRESS_SPACE_HOST);
	/* Pages of other kinds keep something else in this field, and it is the i_data of no inode. */
	if (host + INODE_I_DATA_OFFSET != mapping)
		return;
	element->kind = PAGE_CACHE;
	READ(element->ino, host, INODE_I_INO);
	READ(sb, host, INODE_I_SB);
	READ(element->dev, sb, SUPER_BLOCK_S_DEV);
}

/* Fills the list from the struct sk_msg at msg, which a struct sk_msg_md of the kernel is as well. */
static __always_inline void sg_list_read(struct sg_list *list, const void *msg)
{
	u32 end;

	READ(list->copy, msg, SG_COPY);
	READ(list->start, msg, SG_START);
	READ(list->curr, msg, SG_CURR);
	READ(list->end, msg, SG_END);
	READ(list->size, msg, SG_SIZE);
	list->count = 0;
	list->exposed = 0;
	end = list->end;
	NO_UNROLL
	for (u32 n = 0; n < SG_RING; n++) {
		struct sg_element *element = &list->element[n];
		const char *entry = (const char *)msg + SG_DATA_OFFSET;
		/*
		 * start is read again in each round. For an index that is carried from round to round the verifier
		 * would walk all further rounds once more for each round in which it may have wrapped to 0.
		 */
		u32 start = *(const volatile u32 *)&list->start;
		u32 i = start + n < SG_RING ? start + n : start + n - SG_RING;
		u64 link;

		if (start >= SG_RING || i == end)
			break;
		entry += i * SG_ENTRY_SIZE;
		READ(link, entry, SCATTERLIST_PAGE_LINK);
		READ(element->offset, entry, SCATTERLIST_OFFSET);
		READ(element->length, entry, SCATTERLIST_LENGTH);
		element->ino = 0;
		element->dev = 0;
		element->index = i;
		element->kind = PAGE_NONE;
		element->copy = list->copy >> i & 1;
		if (!(link & SG_CHAIN) && link & ~SG_PAGE_LINK_MASK)
			page_read(element, link & ~SG_PAGE_LINK_MASK);
		element->exposed = element->kind == PAGE_CACHE && element->length && !element->copy;
		list->exposed += element->exposed;
		list->count = n + 1;
	}
}
