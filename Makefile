# Two commands: 'make run' sets up and audits this host, 'make test' sets up and runs all tests.
#
# The interpreter is Debian's own, since only that one has Debian's python3-bpfcc (bcc is not on the package index;
# the project of that name there is something else).

PYTHON := /usr/bin/python3
VENV := .venv
# The versions that Debian 12 ships, to test with as well.
VENV12 := .venv-debian12
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

RUN_PACKAGES := python3 python3-venv python3-bpfcc
TEST_PACKAGES := $(RUN_PACKAGES) bpftool busybox-static chromium clang debian-archive-keyring file gcc iproute2 kmod \
	libc6-dev mandoc qemu-system-arm qemu-system-x86 strace udev
DEB_PACKAGES := build-essential debhelper dh-python dpkg-dev flit git pybuild-plugin-pyproject python3-all
HOSTS_PACKAGES := ansible-core openssh-client systemd
# Unpacked below the virtual environment, not installed: that would start their servers.
UNPACKED_PACKAGES := libwrap0 nagios-nrpe-plugin nagios-nrpe-server openssh-server prometheus
MACHINES_PACKAGES := qemu-system-misc
UML_PACKAGES := bc bison flex gcc libc6-dev make patch xz-utils

# Left out where nothing is missing, so that a set-up machine needs neither root nor a network.
install = missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Abbrev}\n' $(1) 2>/dev/null | \
	awk '$$2 == "ii" {print $$1}' | sort > $(VENV).installed; \
	printf '%s\n' $(1) | sort | comm -23 - $(VENV).installed; rm -f $(VENV).installed); \
	if [ -n "$$missing" ]; then \
		$(SUDO) apt-get update -q || echo 'apt-get update failed, going on with the lists there are' >&2; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi

# What is built from the checkout for others to install, and what it is built with.
DIST := dist
WHEELS := build/wheels

FUZZ_INPUTS := 1000000
FUZZ_GUIDED := verifier-logs verifier-stats rds-captures elf-objects btf
# One process for each processor; not for tests/host, which look at what appears on this machine and goes.
SIDE_BY_SIDE := -n auto

FUZZ_SECONDS := 300

SOAK_ROUNDS := 20

LOAD_SOCKETS := 60000

# Beside what is measured; RDS_INFO=, PRETTY_VERIFIER= and BPFVV= name others by their path.
BENCH_PACKAGES := bpftool bpftrace nvme-cli strace

.PHONY: run test test-fast test-anyhow test-uml test-hosts test-machines test-libbpf soak harm load bench mutants fuzz \
	drift shell clean run-packages test-packages sdist wheel pyz deb release

# The audit, what this kernel understands of a system call, and why a verifier rejected a program.
run: $(VENV)/.run
	$(VENV)/bin/kprobe-tool audit --fail-on never
	@echo
	$(VENV)/bin/kprobe-tool check-fields openat2 || test $$? = 3
	@echo
	$(VENV)/bin/kprobe-tool verifier-log explain tests/corpus/logs/6.12.43/header-not-checked.txt

test: $(VENV)/.test $(VENV12)/.test
	$(VENV12)/bin/pytest $(SIDE_BY_SIDE) tests/unit
	$(VENV12)/bin/pytest tests/host
	KPROBE_TOOL_MACHINES=arm64 $(VENV)/bin/pytest --durations=25 --durations-min=5

# Unit tests and this host but for the slow ones, without a network and without booting anything.
test-fast: $(VENV)/.test
	$(VENV)/bin/pytest -m 'not slow' $(SIDE_BY_SIDE) tests/unit
	$(VENV)/bin/pytest -m 'not slow' tests/host

# All tests that boot nothing, again and again: a year from now, in the background, as nobody, on a busy machine, ...
test-anyhow: $(VENV)/.test
	$(VENV)/bin/python -m tests.anyhow $(WAYS)

# Builds a User Mode Linux kernel that has CHECK_FIELDS, which no release has, and runs check-fields in it.
test-uml: $(VENV)/.test
	@$(call install,$(UML_PACKAGES))
	$(VENV)/bin/python -m tests.kernels.uml.build
	KPROBE_TOOL_UML=1 $(VENV)/bin/pytest tests/kernels/uml

# The guests' tests on machines of another kind: on an arm64 all of them, as 'make test' does, and on an s390x those that
# load no BPF. MACHINES=s390x: one of them.
MACHINES := arm64 s390x
test-machines: $(VENV)/.test
	@$(call install,$(MACHINES_PACKAGES))
	KPROBE_TOOL_MACHINES='$(MACHINES)' $(VENV)/bin/pytest tests/kernels/guest -k '$(firstword $(MACHINES))$(foreach \
		machine,$(wordlist 2,9,$(MACHINES)), or $(machine))'

# The Ansible collection over ssh to fifteen sshds on this machine, fleet on a report each of 10,000 hosts, and what is
# in contrib/monitoring by the programs that read it: promtool, NRPE and systemd.
test-hosts: $(VENV)/.unpacked
	@$(call install,$(HOSTS_PACKAGES))
	KPROBE_TOOL_HOSTS=1 KPROBE_TOOL_REQUIRE=1 $(VENV)/bin/pytest tests/hosts

# verifier-log load with the libbpf of Debian 13, in a container that was delegated BPF and outside.
test-libbpf: $(VENV)/.test
	test -d $(VENV)/libbpf || $(VENV)/bin/python -m tests.libbpf.fetch $(VENV)/libbpf
	$(SUDO) env KPROBE_TOOL_LIBBPF=$(abspath $(VENV)/libbpf) $(VENV)/bin/pytest tests/libbpf

# Each experiment SOAK_ROUNDS times on each kernel, idle and beside a load, and how often each check said what.
soak: $(VENV)/.test
	KPROBE_TOOL_SOAK=$(SOAK_ROUNDS) KPROBE_TOOL_GUEST_TIMEOUT=14400 $(VENV)/bin/pytest -rP tests/kernels/guest/test_soak.py

# Every command into signals, refused system calls and poor environments, at length; 'make test' does a part. What was
# found, by this, by 'make load' and by 'make fuzz', goes into docs/harm.md.
harm: $(VENV)/.test
	KPROBE_TOOL_HARM=full $(VENV)/bin/pytest -o junit_family=xunit1 --junitxml=$(VENV)/harm.xml tests/harm \
		tests/kernels/guest/test_harm.py; \
		code=$$?; $(VENV)/bin/python -m tests.harm.page $(VENV)/harm.xml; exit $$code

# An audit beside 10,000 network namespaces, 5,000 processes, 1,000 failing BPF loads a second and LOAD_SOCKETS of RDS.
load: $(VENV)/.test
	$(SUDO) $(VENV)/bin/python -m tests.load > $(VENV)/load.txt
	KPROBE_TOOL_LOAD=$(LOAD_SOCKETS) KPROBE_TOOL_GUEST_TIMEOUT=7200 $(VENV)/bin/pytest -rP \
		tests/kernels/guest/test_load.py > $(VENV)/sockets.txt; code=$$?; cat $(VENV)/sockets.txt; exit $$code
	$(VENV)/bin/python -m tests.harm.page --load $(VENV)/load.txt --sockets $(VENV)/sockets.txt

# What everything costs beside what a user would use instead, into bench/RESULTS.md: an hour, on an idle machine.
# With the libraries of Debian 12, beside the newest, and compiled to bytecode, as installing it does.
bench: $(VENV12)/.test $(VENV)/.test
	@$(call install,$(UML_PACKAGES) $(BENCH_PACKAGES))
	$(VENV12)/bin/python -m tests.kernels.uml.build
	$(VENV12)/bin/python -m compileall -q src
	$(SUDO) env RDS_INFO=$(RDS_INFO) PRETTY_VERIFIER=$(PRETTY_VERIFIER) BPFVV=$(BPFVV) \
		NEWEST=$(abspath $(VENV))/bin/python $(VENV12)/bin/python -m bench $(BENCH)

# Changes the judging code in small ways and runs its unit tests each time: all of it, or MUTANTS='FILE... | --changed'.
mutants: $(VENV)/.test
	$(VENV)/bin/python -m tests.mutants $(MUTANTS)

# Feeds every parser with FUZZ_INPUTS mutated inputs in all, then those of FUZZ_GUIDED with what reaches new code.
fuzz: $(VENV)/.test
	$(SUDO) $(VENV)/bin/python -m tests.fuzz --inputs $(FUZZ_INPUTS) > $(VENV)/fuzz.txt
	$(VENV)/bin/python -m tests.harm.page --fuzz $(VENV)/fuzz.txt
	$(VENV)/bin/pip install -q -e '.[fuzz]'
	for target in $(FUZZ_GUIDED); do \
		mkdir -p $(VENV)/fuzz/$$target; \
		$(VENV)/bin/python -m tests.fuzz.guided $$target -max_total_time=$(FUZZ_SECONDS) -max_len=32768 \
			-artifact_prefix=$(VENV)/fuzz/$$target- $(VENV)/fuzz/$$target || exit 1; \
	done

# What the newest kernel that Debian has changes under this tool: messages of the verifier, flags, structures, functions.
drift: $(VENV)/.test
	$(VENV)/bin/python -m tests.drift

# A shell in a booted kernel: make shell KERNEL=newest-6.1 (KERNEL=--list shows what there is).
shell: $(VENV)/.test
	$(VENV)/bin/python -m tests.kernels.shell $(KERNEL)

# What users install, into DIST: what git tracks, as it is now, with the date of debian/changelog.
sdist wheel pyz: $(WHEELS)/.fetched
	$(VENV)/bin/python -m packages.build $(DIST) $@

deb: $(WHEELS)/.fetched
	@$(call install,$(DEB_PACKAGES))
	$(VENV)/bin/python -m packages.build $(DIST) deb

# All of it with checksums, byte by byte the same wherever it is built with the same tools.
release: $(WHEELS)/.fetched
	@$(call install,$(DEB_PACKAGES))
	$(VENV)/bin/python -m packages.build $(DIST)

ROOTS_PACKAGES := $(DEB_PACKAGES) autopkgtest debian-archive-keyring debootstrap piuparts

# Each way to install, in clean roots of Debian 12 and 13: half an hour. And two builds, which must be the same.
.PHONY: test-packages-in-roots
test-packages-in-roots: $(VENV)/.test $(WHEELS)/.fetched
	@$(call install,$(ROOTS_PACKAGES))
	$(SUDO) env KPROBE_TOOL_PACKAGES=1 $(VENV)/bin/pytest -p no:cacheprovider -rP tests/packages

run-packages:
	@$(call install,$(RUN_PACKAGES))

test-packages:
	@$(call install,$(TEST_PACKAGES))

$(VENV)/.run: pyproject.toml | run-packages
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(VENV)/bin/pip install -q -e .
	touch $@

$(VENV)/.test: pyproject.toml | test-packages
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(VENV)/bin/pip install -q -e '.[test]'
	touch $@ $(VENV)/.run

$(VENV12)/.test: pyproject.toml tests/debian12.txt | test-packages
	$(PYTHON) -m venv --system-site-packages $(VENV12)
	$(VENV12)/bin/pip install -q -e '.[test]' -c tests/debian12.txt
	touch $@

$(WHEELS)/.fetched: packages/pins.txt | $(VENV)/.run
	rm -rf $(WHEELS)
	$(VENV)/bin/pip download -q --require-hashes --no-deps --only-binary :all: -d $(WHEELS) -r packages/pins.txt
	touch $@

$(VENV)/.unpacked: | $(VENV)/.test
	rm -rf $(VENV)/unpacked
	mkdir $(VENV)/unpacked
	$(SUDO) apt-get update -q || echo 'apt-get update failed, going on with the lists there are' >&2
	cd $(VENV)/unpacked && apt-get download -q $(UNPACKED_PACKAGES) && \
		for package in *.deb; do dpkg -x $$package . || exit 1; done && rm *.deb
	touch $@

clean:
	rm -rf $(VENV) $(VENV12) build $(DIST)
