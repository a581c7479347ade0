# SPDX-License-Identifier: GPL-3.0-or-later
# pve-hwid. Non-recursive; `make help` lists the targets. Honours CC CFLAGS LDFLAGS DESTDIR PREFIX.
# Sources are found by their folder: a new file needs no line here.

BUILD   ?= build
PREFIX  ?= /usr
CC      ?= gcc
CFLAGS  ?= -O2 -g
PKGCONF ?= pkg-config
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum -Wstrict-prototypes \
        -Wmissing-prototypes -Wwrite-strings -Wformat=2 -Wvla $(WERROR)
# What a program does not call is left out of it: a third of the hook, a tenth of all.
SECTIONS := -ffunction-sections -fdata-sections
# Tables for unwinding by the program itself, which C without exceptions never does: a seventh of all.
# Debuggers have their own in the debug information. Sanitizers do unwind.
UNWIND   := $(if $(SAN),,-fno-asynchronous-unwind-tables -fno-unwind-tables)
# Relocations packed: 24 bytes for each pointer in a table become a bit or two. Needs glibc 2.36 (Debian 12).
RELR     := -Wl,-z,pack-relative-relocs
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Idaemon -I$(BUILD)/gen -MMD -MP \
        -DPVE_HWID_VERSION='"$(VERSION)"' $(WARN) $(SECTIONS) $(UNWIND) $(CPPFLAGS) $(CFLAGS) $(SAN)
ALL_LDFLAGS := -Wl,--gc-sections $(RELR) $(LDFLAGS) $(SAN)

JANSSON := $(shell $(PKGCONF) --libs jansson)
UUID    := $(shell $(PKGCONF) --libs uuid)
EXPAT   := $(shell $(PKGCONF) --libs expat)
CURL    := $(shell $(PKGCONF) --libs libcurl)
SYSTEMD := $(shell $(PKGCONF) --libs libsystemd)
CMOCKA   = $(shell $(PKGCONF) --libs cmocka)

BASE_SRC   := $(wildcard daemon/base/*.c)
CORE_SRC   := $(wildcard daemon/core/*.c)
IO_SRC     := $(wildcard daemon/io/*.c)
DAEMON_SRC := $(wildcard daemon/*.c)
CLI_SRC    := $(wildcard daemon/cli/*.c)
HOOK_SRC   := $(wildcard hooks/*.c)
UNIT_SRC   := $(wildcard tests/unit/test_*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
HELP_SRC   := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
BENCH_SRC  := $(wildcard tests/bench/*.c)

comma := ,
objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ  := $(call objs,$(BASE_SRC) $(CORE_SRC) $(IO_SRC))
PART_OBJ := $(call objs,$(DAEMON_SRC))
UNITS    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
FUZZERS  := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
REPLAYS  := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/replay_%,$(FUZZ_SRC))
BENCHES  := $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(BENCH_SRC))
PROGRAMS := $(BUILD)/pve-hwidd $(BUILD)/pve-hwid $(BUILD)/pve-hwid-hook
ALL_C    := $(wildcard daemon/*.[ch] daemon/*/*.[ch] hooks/*.[ch] tests/*/*.[ch])

.PHONY: all check check-asan check-asan-build check-layers unit units bench fuzz format install \
        uninstall clean help
.SECONDARY:
all: $(PROGRAMS)  ## the three programs, in build/

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The Varlink interface is text in conf/ and a string in the programs: one source for both. As bytes,
# because ISO C promises no string literal longer than 4095.
$(BUILD)/gen/varlink_interface.h: conf/io.pvehwid.varlink
	@mkdir -p $(@D)
	{ echo '{'; od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '0}'; } > $@.tmp && mv $@.tmp $@
$(call objs,$(CORE_SRC) $(DAEMON_SRC)): | $(if $(wildcard conf/io.pvehwid.varlink),$(BUILD)/gen/varlink_interface.h)

$(BUILD)/libpvehwid.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# The daemon: an archive, so that each test pulls in only the parts it names, and --as-needed drops
# the libraries of the others.
$(BUILD)/libdaemon.a: $(PART_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# One file, two programs (daemon/main.h): the second name is a link.
$(BUILD)/pve-hwidd: $(BUILD)/pve-hwid
	ln -sf pve-hwid $@
$(BUILD)/pve-hwid: $(call objs,$(CLI_SRC)) $(BUILD)/libdaemon.a $(BUILD)/libpvehwid.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CURL) $(JANSSON) $(UUID) $(SYSTEMD) $(EXPAT)
# The hook is started by every `qm start`: two libraries less to load and relocate are worth a static
# link of them. Measured (bench_hook, whole process, /bin/true = 1.00): 1.3; with a static libc too,
# 1.05 as static-pie and 1.00 without ASLR, which is not worth a libc that apt cannot update.
HOOK_STATIC ?= $(if $(SAN),,1)
$(BUILD)/pve-hwid-hook: $(call objs,$(HOOK_SRC)) $(BUILD)/libpvehwid.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ \
	    $(if $(HOOK_STATIC),-Wl$(comma)-Bstatic $(JANSSON) $(UUID) -Wl$(comma)-Bdynamic,$(JANSSON) $(UUID))

# --- tests ------------------------------------------------------------------------------------
# test_alloc_*: our own allocations go through tests/unit/alloc_fail.c, which makes them fail.
ALLOC_WRAP := $(foreach f,malloc calloc realloc reallocarray strdup vasprintf iconv_open,-Wl$(comma)--wrap=$(f))
$(BUILD)/tests/test_%: $(BUILD)/obj/tests/unit/test_%.o $(call objs,$(HELP_SRC)) $(BUILD)/libdaemon.a \
        $(BUILD)/libpvehwid.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(EXTRA_$(notdir $@)) \
	    $(if $(filter test_alloc_%,$(notdir $@)),$(ALLOC_WRAP)) -Wl,--as-needed $(CMOCKA) $(JANSSON) \
	    $(UUID) $(EXPAT) $(CURL) $(SYSTEMD)
$(BUILD)/tests/replay_%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libpvehwid.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -Wl,--as-needed $(JANSSON) $(UUID) $(EXPAT) \
	    $(SYSTEMD)
# A target may need more than the library: its line FUZZ-SOURCES names it.
fuzz_more = $(shell sed -n 's|^/\* FUZZ-SOURCES: \(.*\) \*/$$|\1|p' tests/fuzz/fuzz_$(1).c)
$(BUILD)/tests/replay_fuzz_reconcile: $(call objs,$(call fuzz_more,reconcile))
$(BUILD)/tests/replay_fuzz_frames: $(call objs,$(call fuzz_more,frames))
$(BUILD)/tests/bench_%: $(BUILD)/obj/tests/bench/bench_%.o $(BUILD)/libpvehwid.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(JANSSON) $(UUID)

units: $(UNITS) $(REPLAYS)
unit: units
	@tests/run --only unit/ $(BUILD)

check: all units check-layers  ## every test that needs neither network nor root set-up
	tests/run $(BUILD)

check-asan: check-asan-build  ## the same under AddressSanitizer and UBSan
	tests/run-asan
check-asan-build:
	$(MAKE) BUILD=$(BUILD)/asan SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined' \
	    CFLAGS='-O1 -g -fno-omit-frame-pointer' all units

check-layers:  ## an include that points the wrong way fails
	@tests/check-layers

bench: all $(BENCHES)  ## figures and ratios, in one run
	tests/bench/run $(BUILD)

fuzz:  ## libFuzzer targets, FUZZ_SECONDS each (clang)
	tests/fuzz/run $(or $(FUZZ_SECONDS),60)

format:  ## clang-format 14, in place
	clang-format -i $(ALL_C)

# Programs and documents below PREFIX; settings below /etc, never overwritten. The hook that VMs point
# to is a copy that the administrator makes (README.md): no file of ours that goes keeps a VM down.
INSTALL ?= install
MAN     := $(wildcard docs/man/*.[1-9])
LIBEXEC := $(PREFIX)/libexec/pve-hwid
SHARE   := $(PREFIX)/share/pve-hwid
EXAMPLE := $(PREFIX)/share/doc/pve-hwid/examples
UNITS_D ?= $(PREFIX)/lib/systemd/system
USERS_D := $(PREFIX)/lib/sysusers.d
BASH_D  := $(PREFIX)/share/bash-completion/completions
CATALOG := $(PREFIX)/lib/systemd/catalog
install: all  ## programs, units, man pages, settings; honours DESTDIR and PREFIX
	$(INSTALL) -D -m 0755 $(BUILD)/pve-hwid $(DESTDIR)$(PREFIX)/bin/pve-hwid
	$(INSTALL) -d -m 0755 $(DESTDIR)$(PREFIX)/sbin
	ln -sf ../bin/pve-hwid $(DESTDIR)$(PREFIX)/sbin/pve-hwidd
	$(INSTALL) -D -m 0755 -t $(DESTDIR)$(LIBEXEC) $(BUILD)/pve-hwid-hook hooks/place-hook hooks/removed-hook
	$(INSTALL) -D -m 0644 conf/systemd/pve-hwidd.socket $(DESTDIR)$(UNITS_D)/pve-hwidd.socket
	$(INSTALL) -D -m 0644 conf/systemd/pve-hwidd.service $(DESTDIR)$(UNITS_D)/pve-hwidd.service
	sed -i 's|^ExecStart=/usr/sbin/|ExecStart=$(PREFIX)/sbin/|' $(DESTDIR)$(UNITS_D)/pve-hwidd.service
	$(INSTALL) -D -m 0644 conf/systemd/pve-hwid-metrics.timer $(DESTDIR)$(UNITS_D)/pve-hwid-metrics.timer
	$(INSTALL) -D -m 0644 conf/systemd/pve-hwid-metrics.service $(DESTDIR)$(UNITS_D)/pve-hwid-metrics.service
	sed -i 's|^ExecStart=/usr/bin/|ExecStart=$(PREFIX)/bin/|' $(DESTDIR)$(UNITS_D)/pve-hwid-metrics.service
	$(INSTALL) -D -m 0644 conf/sysusers.conf $(DESTDIR)$(USERS_D)/pve-hwid.conf
	$(INSTALL) -D -m 0644 conf/pve-hwid.catalog $(DESTDIR)$(CATALOG)/pve-hwid.catalog
	$(INSTALL) -D -m 0644 -t $(DESTDIR)$(SHARE) conf/fingerprint.schema.json conf/io.pvehwid.varlink \
	    conf/capture-windows.ps1
	$(INSTALL) -D -m 0644 -t $(DESTDIR)$(EXAMPLE) conf/examples/*
	$(INSTALL) -D -m 0644 -t $(DESTDIR)$(SHARE)/schemas conf/schemas/*
	$(INSTALL) -D -m 0644 conf/bash-completion/pve-hwid $(DESTDIR)$(BASH_D)/pve-hwid
	for page in $(MAN); do $(INSTALL) -D -m 0644 -t \
	    $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit 1; done
	$(INSTALL) -d -m 0755 $(DESTDIR)/etc/pve-hwid $(DESTDIR)/etc/pve-hwid/fingerprints
	[ -e $(DESTDIR)/etc/pve-hwid/pve-hwid.conf ] || \
	    $(INSTALL) -m 0644 conf/pve-hwid.conf $(DESTDIR)/etc/pve-hwid/pve-hwid.conf

uninstall:  ## takes away what install put there; keeps /etc/pve-hwid, journal and the VMs' hook
	rm -f $(DESTDIR)$(PREFIX)/sbin/pve-hwidd $(DESTDIR)$(PREFIX)/bin/pve-hwid
	rm -f $(DESTDIR)$(UNITS_D)/pve-hwidd.socket $(DESTDIR)$(UNITS_D)/pve-hwidd.service
	rm -f $(DESTDIR)$(UNITS_D)/pve-hwid-metrics.timer $(DESTDIR)$(UNITS_D)/pve-hwid-metrics.service
	rm -f $(DESTDIR)$(USERS_D)/pve-hwid.conf $(DESTDIR)$(BASH_D)/pve-hwid
	rm -f $(DESTDIR)$(CATALOG)/pve-hwid.catalog
	rm -rf $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(SHARE) $(DESTDIR)$(EXAMPLE)
	for page in $(notdir $(MAN)); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$page; done

clean:  ## removes build/
	rm -rf $(BUILD)

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1\t\2/p' Makefile | expand -t 24

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
