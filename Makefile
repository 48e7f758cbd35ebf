# flashrelay: `make help` lists what there is to make.
#
# Everything is built out of tree: build/ holds the release binaries, build/<variant>/ those of debug, asan and tsan.
# A folder is a program: tools/<name>/, tests/<name>/ and perf/<name>/ each become build/<name>. Code that several programs share is in
# tools/common/, tests/support/ and perf/population/.

VARIANT ?= release
VARIANTS := release debug asan tsan fuzz arm64
ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT): expected one of $(VARIANTS))
endif

BIN := $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))
OBJ := build/obj/$(VARIANT)
PREFIX ?= /usr/local
DESTDIR ?=

ifeq ($(VARIANT),fuzz)
CC := clang
endif
# Built like release, against the libraries that tools/test_arm64.sh has unpacked.
ifeq ($(VARIANT),arm64)
CC := aarch64-linux-gnu-gcc --sysroot=$(CURDIR)/build/arm64-root
endif
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Werror
CPPFLAGS += -D_GNU_SOURCE -Iinclude -MMD -MP
MACHINE := $(shell $(CC) -dumpmachine)
BRANCH_PROTECTION := $(if $(filter x86_64-%,$(MACHINE)),-fcf-protection)$(if $(filter aarch64-%,$(MACHINE)),-mbranch-protection=standard)
# Some distributions' compilers define _FORTIFY_SOURCE themselves, so it is undefined first. It replaces calls that the sanitizers check, so
# only release and arm64 define it.
FORTIFY_release := -D_FORTIFY_SOURCE=2
FORTIFY_arm64 := $(FORTIFY_release)
HARDENING := -fPIE -fstack-protector-strong -fstack-clash-protection $(BRANCH_PROTECTION)
CFLAGS_release := -O2 -g $(HARDENING)
CFLAGS_debug   := -O0 -g3
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
CFLAGS_arm64   := $(CFLAGS_release)
CFLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LDFLAGS_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
LDFLAGS_arm64 := $(LDFLAGS_release)
CPPFLAGS += -U_FORTIFY_SOURCE $(FORTIFY_$(VARIANT))
CFLAGS += -std=gnu17 $(CFLAGS_$(VARIANT)) $(WARNINGS) -fno-strict-aliasing -pthread
LDFLAGS += $(LDFLAGS_$(VARIANT)) $(filter -fsanitize=%,$(CFLAGS)) -pthread -Wl,--as-needed
# The sanitizers replace the allocator themselves: their variants are built without jemalloc.
JEMALLOC := $(if $(filter release debug arm64,$(VARIANT)),yes)
CPPFLAGS += $(if $(JEMALLOC),-DFLASHRELAY_JEMALLOC)
LIBS := -luring -lxxhash -lssl -lcrypto -lbrotlienc -lbrotlidec -lbrotlicommon $(if $(JEMALLOC),-ljemalloc) -lm
CONTROL_LIBS := -lmicrohttpd
TOOL_LIBS := -ljansson

# The DPDK engine is built where libdpdk is installed. flashrelay has its kind; the ports alone are linked into DPDK_TESTS of tests/unit and
# DPDK_PROGRAMS of perf/. All other programs, and the variants left out here, have engine/no_dpdk.c in its place. EAL does not run under
# the thread sanitizer. -march, which DPDK's headers need, is given to no other object.
DPDK := $(if $(filter release debug asan,$(VARIANT)),$(shell pkg-config --exists 'libdpdk >= 22.11' 2>/dev/null && echo yes))
DPDK_CFLAGS := $(if $(DPDK),$(patsubst -I%,-isystem %,$(shell pkg-config --cflags libdpdk)))
DPDK_LIBS := $(if $(DPDK),$(shell pkg-config --libs libdpdk))
DPDK_PROGRAMS := bypass_bulk bypass_floor bypass_relay
DPDK_TESTS := test_dpdk_port test_dpdk_system test_population

objects = $(patsubst %.c,$(OBJ)/%.o,$(1))
# Objects stand before archives, so that what they define is not taken from an archive too; the ports stand before what they use.
link_order = $(filter %.o,$^) $(filter $(DPDK_PORTS),$^) $(filter-out %.o $(DPDK_PORTS),$^)
programs = $(sort $(filter-out %/common %/unit %/support %/fuzz %/e2e %/results %/cbench %/population,$(patsubst %/,%,$(dir $(wildcard $(1)/*/*.c)))))

DATAPLANE_SOURCES := $(filter-out dataplane/engine/dpdk/%,$(wildcard dataplane/*/*.c dataplane/*/*/*.c))
CONTROL_SOURCES := $(filter-out control/main.c,$(wildcard control/*.c control/*/*.c))
COMMON_SOURCES := $(wildcard tools/common/*.c)
SUPPORT_SOURCES := $(wildcard tests/support/*.c)
DATAPLANE := $(OBJ)/libdataplane.a
DPDK_KIND := $(if $(DPDK),$(patsubst %.c,$(OBJ)/%.o,$(wildcard dataplane/engine/dpdk/kind.c)))
DPDK_PORTS := $(if $(DPDK),$(OBJ)/libdpdkports.a)
CONTROL := $(OBJ)/libcontrol.a
COMMON := $(OBJ)/libcommon.a
SUPPORT := $(OBJ)/libsupport.a

TOOLS := $(sort $(notdir $(call programs,tools)))
TEST_PROGRAMS := $(sort $(notdir $(call programs,tests)))
PERF_PROGRAMS := $(sort $(notdir $(call programs,perf)))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
UNIT_TESTS := $(filter-out $(if $(DPDK),,$(DPDK_TESTS)),$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c)))

# The output is one line per file; V=1 shows the commands.
Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  %-5s %s\n' $(1) $(2))

.DEFAULT_GOAL := all
.PHONY: all tests fuzzers deps demo demo-dpdk test test-arm64 test-kernel test-dpdk test-bare sim stress fuzz lint install clean help

all: $(BIN)/flashrelay $(addprefix $(BIN)/,$(TOOLS)) ## build the relay and its tools
tests: $(addprefix $(BIN)/,$(TEST_PROGRAMS) $(UNIT_TESTS)) ## build the test programs

$(BIN)/flashrelay: $(OBJ)/control/main.o $(CONTROL) $(DATAPLANE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(link_order) $(CONTROL_LIBS) $(LIBS)

# $(1): folder, $(2): our own libraries, $(3): other libraries
define PROGRAM
$(BIN)/$(notdir $(1)): $(call objects,$(wildcard $(1)/*.c)) $(2)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$(link_order) $(3) $$(LIBS)
endef
$(foreach p,$(call programs,tools),$(eval $(call PROGRAM,$(p),$(COMMON) $(DATAPLANE),$(TOOL_LIBS))))
$(foreach p,$(call programs,tests),$(eval $(call PROGRAM,$(p),$(SUPPORT) $(COMMON) $(CONTROL) $(DATAPLANE),$(CONTROL_LIBS))))
$(foreach p,$(call programs,perf),$(eval $(call PROGRAM,$(p),$(COMMON) $(CONTROL) $(DATAPLANE),$(CONTROL_LIBS))))

$(addprefix $(BIN)/,$(UNIT_TESTS)): $(BIN)/test_%: $(OBJ)/tests/unit/test_%.o $(SUPPORT) $(COMMON) $(CONTROL) $(DATAPLANE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(link_order) $(CONTROL_LIBS) $(LIBS) -lcmocka

$(addprefix $(BIN)/,flashrelay bypass_bulk): $(DPDK_KIND)
$(addprefix $(BIN)/,flashrelay $(DPDK_PROGRAMS) $(DPDK_TESTS)): $(DPDK_PORTS)
$(addprefix $(BIN)/,flashrelay $(DPDK_PROGRAMS) $(DPDK_TESTS)): LIBS += $(DPDK_LIBS)

fuzzers: $(addprefix build/fuzz/,$(FUZZERS))
ifeq ($(VARIANT),fuzz)
$(addprefix build/fuzz/,$(FUZZERS)): build/fuzz/%: $(OBJ)/tests/fuzz/%.o $(SUPPORT) $(COMMON) $(CONTROL) $(DATAPLANE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(CONTROL_LIBS) $(LIBS)
endif

$(DATAPLANE): $(call objects,$(DATAPLANE_SOURCES))
$(DPDK_PORTS): $(call objects,$(filter-out %/kind.c,$(wildcard dataplane/engine/dpdk/*.c)))
$(CONTROL): $(call objects,$(CONTROL_SOURCES))
$(COMMON): $(call objects,$(COMMON_SOURCES))
$(SUPPORT): $(call objects,$(SUPPORT_SOURCES))
$(OBJ)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

# Include paths: every source finds include/ and its own top-level folder; tests/ and perf/ also find tools/, control/ and dataplane/.
$(OBJ)/dataplane/%.o: CPPFLAGS += -iquote dataplane
$(OBJ)/dataplane/engine/dpdk/%.o: CPPFLAGS += $(DPDK_CFLAGS)
$(addprefix $(OBJ)/,$(DPDK_PROGRAMS:%=perf/%/%.o) $(DPDK_TESTS:%=tests/unit/%.o)): CPPFLAGS += $(DPDK_CFLAGS)
$(OBJ)/control/%.o: CPPFLAGS += -iquote control
$(OBJ)/control/version.o: CPPFLAGS += -DFLASHRELAY_VERSION='"$(VERSION)"'
$(OBJ)/control/version.o: build/obj/version

# Rewritten only when the version has changed, so that version.o is compiled again only then.
build/obj/version: always
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
.PHONY: always
$(OBJ)/tools/%.o: CPPFLAGS += -iquote tools
$(OBJ)/tests/%.o: CPPFLAGS += -iquote tests -iquote tools -iquote control -iquote dataplane
$(OBJ)/perf/%.o: CPPFLAGS += -iquote perf -iquote tools -iquote control -iquote dataplane

$(OBJ)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

include perf/rules.mk
include tests/sim/rules.mk

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# --- targets for users ---

JOBS := $(shell nproc)

deps: ## install the packages that building needs, where they are missing
	@tools/deps.sh build

demo: ## install what is missing, build, and show a builder, the relay and 1,000 subscribers at work
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(BIN)/demo

demo-dpdk: ## the same with the relay on DPDK, on a tap in a network namespace, as root; without a card and huge pages
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(BIN)/demo --dpdk

test: ## install what is missing, build every variant, run every test
	@tools/deps.sh build test
	@$(MAKE) --no-print-directory -j$(JOBS) all tests
	@$(MAKE) --no-print-directory -j$(JOBS) all tests VARIANT=asan
	@$(MAKE) --no-print-directory -j$(JOBS) all tests VARIANT=tsan
	@$(MAKE) --no-print-directory -j$(JOBS) fuzzers VARIANT=fuzz
	@tests/run.py

SEEDS ?= 20000
sim: ## run the simulator; SEEDS=20000 of them
	@$(MAKE) --no-print-directory -j$(JOBS) tests
	$(BIN)/sim --seeds $(SEEDS)

SECONDS ?= 60
stress: ## race publisher and readers of the log under the thread sanitizer for SECONDS=60
	@$(MAKE) --no-print-directory -j$(JOBS) tests VARIANT=tsan
	build/tsan/channel_stress $(SECONDS)

fuzz: ## run every fuzzer for SECONDS=60
	@tools/deps.sh build test
	@$(MAKE) --no-print-directory -j$(JOBS) fuzzers VARIANT=fuzz
	@tests/run.py --only fuzz --fuzz-seconds $(SECONDS)

test-arm64: ## build for arm64, run unit tests and simulator under qemu-user; SEEDS=300
	@tools/deps.sh build test arm64
	@tools/test_arm64.sh

KERNEL ?= 6.1
test-kernel: ## run the core of the end-to-end tests under KERNEL=6.1, a series or the path of a vmlinuz, in QEMU
	@tools/deps.sh build test kernel
	@$(MAKE) --no-print-directory -j$(JOBS) all tests
	@tools/test_kernel.sh $(KERNEL)

test-dpdk: ## run the end-to-end tests on DPDK by taps and af_xdp, and many subscribers for longer, as root
	@tools/deps.sh build test
	@$(MAKE) --no-print-directory -j$(JOBS) all tests
	@tests/run.py --only dpdk
	@tests/run.py --only dpdk-long

SUITE ?= bookworm
test-bare: ## run `make test` in a fresh and empty SUITE=bookworm, as root
	@tools/deps.sh bare
	@tools/test_bare.sh $(SUITE)

lint: ## check format, clang-tidy, cppcheck, and who includes whom
	@tools/deps.sh build test lint
	@tools/lint.sh

install: all ## install the relay and its tools below PREFIX=/usr/local
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(addprefix $(BIN)/,flashrelay flashbuilder flashcat flashbench bare_loop) $(DESTDIR)$(PREFIX)/bin

clean: ## remove everything that was built
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
