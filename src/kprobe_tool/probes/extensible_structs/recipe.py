# SPDX-License-Identifier: GPL-2.0-or-later
"""How a system call is asked without anything coming of it.

A recipe makes calls that must fail, each for more than one reason, and knows which errno means that the kernel had
nothing against the bit in question (it got as far as the other reason) and which that it refused it.
"""

from __future__ import annotations

import errno as errnos
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from kprobe_tool.errors import errno_name
from kprobe_tool.native.prober import Call, CallAnswer, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs.model import Field, Flag, FlagResult, ProbeMethod, Size, Support

CHECK_FIELDS = 1 << 63
FILL = b"\xaa"

BEYOND = b"\xff"


class Control(NamedTuple):
    """A call whose failure is known beforehand; with any other answer nothing that follows would mean anything."""

    call: Call
    expected: frozenset[int]
    what: str
    needs: str | None = None
    """What the caller may be missing, where it answers otherwise."""


def answer_name(answer: CallAnswer) -> str:
    """An answer in a word: the errno's name, or the signal's."""
    if answer.signal is None:
        return errno_name(answer.errno) if answer.errno else "success"
    try:
        return signal.Signals(answer.signal).name
    except ValueError:
        return "the end of the caller"


def killed_by_filter(answer: CallAnswer) -> bool:
    """SIGSYS is what a seccomp filter kills with; any other end of the caller says nothing about filters."""
    return answer.signal == signal.SIGSYS


def killed_result(answer: CallAnswer) -> FlagResult | None:
    """The result where the answer was a signal."""
    if answer.signal is None:
        return None
    return FlagResult(Support.UNKNOWN, ProbeMethod.PROBE, note=f"{answer_name(answer)} instead of an answer")


class Recipe(ABC):
    """How a system call is asked, as far as it is the same for all; each recipe overrides what differs.

    ``first_size`` is sizeof the struct in its first version, ``sizes`` are later ones that a kernel may have.
    """

    first_size = 0
    sizes: tuple[int, ...] = ()
    reach_errnos = frozenset({errnos.EINVAL})
    """How the kernel answers :meth:`ask_reach`."""
    absent_errnos = frozenset[int]()
    """How a kernel answers it that has the system call, but not the feature."""
    disabled_errnos: ClassVar[Mapping[int, str]] = {}
    """How a kernel answers it that is set up to refuse all of these calls, and what is set up so."""
    second_errnos = frozenset({errnos.E2BIG})
    """How the kernel answers :meth:`second_call`."""
    flags_elsewhere: str | None = None
    """The note on flags where the kernel lacks this call, but may know the flags, which other system calls take."""
    accepted = frozenset({errnos.EFAULT})
    refused = frozenset({errnos.EINVAL})
    inside_errnos = frozenset({errnos.EINVAL})
    """Answers to :meth:`oversized_call` other than E2BIG."""
    unnamed_tried_with: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    """By field: the bits that a bit without a name is tried with."""

    @abstractmethod
    def ask_reach(self, prober: Prober) -> CallAnswer:
        """Ask for what every implementation refuses at once, before it looks at privileges or pointers."""

    @abstractmethod
    def second_call(self) -> Call:
        """A call that the kernel answers with another errno than :meth:`ask_reach`: a filter that answers for the
        kernel gives the same errno to both."""

    def is_disabled(self) -> bool | None:
        """Whether this host is set up so that the kernel gives one of ``disabled_errnos``; None: nothing tells."""
        return None

    def check_fields_call(self, fill: bytes, usize: int) -> Call | None:
        """The call with a whole page of struct, or None where no size_t argument could carry CHECK_FIELDS."""
        return None

    def oversized_call(self, place: int) -> Call | None:
        """The call with a page-sized struct, invalid in any version, whose byte ``place`` is not zero."""
        return None

    def controls(self, size: int) -> Sequence[Control]:
        return ()

    def flag_call(self, field: Field, bits: int, size: int) -> Call:
        """The call that asks for ``bits`` of a field and is doomed otherwise.

        Those that describe themselves, or have no flags, override :meth:`ask_flags` and are never asked for one.
        """
        raise TypeError(f"{type(self).__name__} has no probe of {field.name}")

    def judge(self, field: Field, bits: int, answer: CallAnswer) -> FlagResult:
        """What an answer to :meth:`flag_call` says."""
        if answer.signal is None and answer.errno in self.accepted:
            return FlagResult(Support.YES, ProbeMethod.PROBE, answer.errno)
        if answer.signal is None and answer.errno in self.refused:
            return FlagResult(Support.NO, ProbeMethod.PROBE, answer.errno)
        return killed_result(answer) or FlagResult(
            Support.UNKNOWN,
            ProbeMethod.PROBE,
            answer.errno,
            f"{answer_name(answer)} does not show whether the kernel knows it",
        )

    def bit_combinations(self, field: Field, flag: Flag, size: int) -> Iterator[int]:
        """The bits to ask with, one after the other while the answer is no."""
        yield flag.value
        for others in flag.tried_with:
            yield flag.value | others

    def ask_flag(self, prober: Prober, field: Field, flag: Flag, size: int) -> FlagResult:
        """Ask for one flag, and with others where it is refused alone."""
        result = FlagResult(Support.UNKNOWN)
        for bits in self.bit_combinations(field, flag, size):
            result = self.judge(field, bits, prober.ask(self.flag_call(field, bits, size)))
            if result.accepted is not Support.NO:
                break
        return result

    def ask_flags(self, prober: Prober, field: Field, flags: Sequence[Flag], size: int) -> dict[Flag, FlagResult]:
        """Ask for several flags of one field."""
        return {flag: self.ask_flag(prober, field, flag, size) for flag in flags}

    def unnamed_flag(self, field: Field, bit: int) -> Flag:
        """A bit without a name, to be tried with the other bits that bits of this field may need."""
        return Flag(f"bit {bit}", 1 << bit, "", self.unnamed_tried_with.get(field.name, ()))

    def ask_size(self, prober: Prober, guesses: Sequence[int]) -> Size:
        """sizeof the struct: the lowest byte that is E2BIG when it is not zero.

        A guess costs two calls to confirm, bisecting a page up to twelve.
        """
        try:
            for guess in dict.fromkeys(guesses):
                if not self.is_inside(prober, guess) and self.is_inside(prober, guess - 1):
                    return Size(guess, ProbeMethod.E2BIG)
            low, high = self.first_size - 1, PAGE_SIZE
            while high - low > 1:
                middle = (low + high) // 2
                if self.is_inside(prober, middle):
                    low = middle
                else:
                    high = middle
            # A search that ends where it began, at its lower or upper limit, has found nothing.
            if high == PAGE_SIZE:
                return Size(reason="the kernel refused no byte, not even the last one of a page")
            if high == self.first_size and not self.is_inside(prober, high - 1):
                return Size(reason="the kernel refused every byte")
        except SizeUnclear as error:
            return Size(reason=str(error))
        return Size(high, ProbeMethod.E2BIG)

    def is_inside(self, prober: Prober, place: int) -> bool:
        """Whether a byte belongs to the kernel's struct. Raises SizeUnclear."""
        call = self.oversized_call(place)
        if call is None:
            raise SizeUnclear("no call that is free of side effects shows it")
        answer = prober.ask(call)
        if answer.signal is None and answer.errno == errnos.E2BIG:
            return False
        if answer.signal is not None or answer.errno not in self.inside_errnos:
            raise SizeUnclear(f"{answer_name(answer)} tells nothing about the size")
        return True


@dataclass(frozen=True)
class SyscallEntry:
    """One system call: the struct it takes, the release that brought it, what is known of it, how it is asked.

    ``symbols`` are the system calls that are made, where those are others than ``name``.
    """

    name: str
    struct: str
    since: str
    fields: tuple[Field, ...]
    recipe: Recipe
    symbols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.symbols:
            object.__setattr__(self, "symbols", (self.name,))


class SizeUnclear(Exception):
    """An answer that no recipe knows."""


def size_written_back(answer: CallAnswer, size_of: Callable[[bytes], int], first_size: int) -> Size:
    """A size that is too small is E2BIG, and the kernel writes its own over it (``size_of`` reads it)."""
    if answer.signal is None and answer.errno == errnos.E2BIG:
        size = size_of(answer.memory[0])
        if size >= first_size:
            return Size(size, ProbeMethod.WRITE_BACK)
    return Size(reason=f"no size was written back ({answer_name(answer)})")


def judge_masks(flags: Sequence[Flag], filled: int, supported: int | None, note: str) -> dict[Flag, FlagResult]:
    """What a kernel that describes itself says of these flags: by its mask of the ``supported`` ones, or, before it
    had one (None), by what it ``filled``. ``note`` says why a flag that was not filled may still be known to it."""
    if supported is not None:
        supports = {flag: Support.YES if supported & flag.value else Support.NO for flag in flags}
        return {flag: FlagResult(support, ProbeMethod.SELF, in_mask=support) for flag, support in supports.items()}
    return {
        flag: FlagResult(Support.YES, ProbeMethod.SELF)
        if filled & flag.value
        else FlagResult(Support.UNKNOWN, ProbeMethod.SELF, note=note)
        for flag in flags
    }


def leave_unknown(flags: Sequence[Flag], answer: CallAnswer, what: str) -> dict[Flag, FlagResult]:
    """What a kernel that describes itself says of these flags where the one call about them gives no description."""
    note = f"{what} answers {answer_name(answer)}"
    # The errno beside a signal is a 0 that is no success.
    errno = answer.errno if answer.signal is None else None
    return dict.fromkeys(flags, FlagResult(Support.UNKNOWN, ProbeMethod.SELF, errno, note))


def page(place: int, head: bytes = b"") -> bytes:
    """A page that begins with ``head``, is zero otherwise, and not zero at ``place``."""
    data = bytearray(head.ljust(PAGE_SIZE, b"\0"))
    data[place : place + 1] = BEYOND
    return bytes(data)
