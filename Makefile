# flashrelay: `make help` lists what there is to make.
#
# Everything is built out of tree: build/ holds the release binaries, build/<variant>/ those of debug, asan and tsan.
# A folder is a program: tools/<name>/, tests/<name>/ and perf/<name>/ each become build/<name>; what several share is in a common/.

VARIANT ?= release
VARIANTS := release debug asan tsan
ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT): expected one of $(VARIANTS))
endif

BIN := $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))
OBJ := build/obj/$(VARIANT)
PREFIX ?= /usr/local
DESTDIR ?=

CC ?= cc
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Werror
CPPFLAGS += -D_GNU_SOURCE -Iinclude -MMD -MP
CFLAGS_release := -O2 -g
CFLAGS_debug   := -O0 -g3 -D_FORTIFY_SOURCE=0
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
CFLAGS += -std=gnu17 $(CFLAGS_$(VARIANT)) $(WARNINGS) -fno-strict-aliasing -pthread
LDFLAGS += $(filter -fsanitize=%,$(CFLAGS)) -pthread
# jemalloc and the sanitizers each want to be the allocator.
JEMALLOC := $(if $(filter release debug,$(VARIANT)),yes)
CPPFLAGS += $(if $(JEMALLOC),-DFLASHRELAY_JEMALLOC)
LIBS := -luring -lxxhash -lssl -lcrypto -lbrotlienc -lbrotlidec -lbrotlicommon $(if $(JEMALLOC),-ljemalloc) -lm
CONTROL_LIBS := -lmicrohttpd

objects = $(patsubst %.c,$(OBJ)/%.o,$(1))
programs = $(filter-out %/common %/unit %/fuzz %/e2e %/results %/cbench,$(patsubst %/,%,$(dir $(wildcard $(1)/*/*.c))))

DATAPLANE_SOURCES := $(wildcard dataplane/*.c dataplane/*/*.c dataplane/*/*/*.c)
CONTROL_SOURCES := $(filter-out control/main.c,$(wildcard control/*.c))
COMMON_SOURCES := $(wildcard tools/common/*.c)
DATAPLANE := $(OBJ)/libdataplane.a
CONTROL := $(OBJ)/libcontrol.a
COMMON := $(OBJ)/libcommon.a

TOOLS := $(sort $(notdir $(call programs,tools)))
TEST_PROGRAMS := $(sort $(notdir $(call programs,tests)))
PERF_PROGRAMS := $(sort $(notdir $(call programs,perf)))
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))

.DEFAULT_GOAL := all
.PHONY: all tests clean help

all: $(BIN)/flashrelay $(addprefix $(BIN)/,$(TOOLS)) ## build the relay and its tools
tests: $(addprefix $(BIN)/,$(TEST_PROGRAMS) $(UNIT_TESTS)) ## build the test programs

$(BIN)/flashrelay: $(OBJ)/control/main.o $(CONTROL) $(DATAPLANE)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(CONTROL_LIBS) $(LIBS)

define PROGRAM
$(BIN)/$(notdir $(1)): $(call objects,$(wildcard $(1)/*.c)) $(COMMON) $(CONTROL) $(DATAPLANE)
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(CONTROL_LIBS) $$(LIBS)
endef
$(foreach p,$(sort $(call programs,tools) $(call programs,tests) $(call programs,perf)),$(eval $(call PROGRAM,$(p))))

$(addprefix $(BIN)/,$(UNIT_TESTS)): $(BIN)/test_%: $(OBJ)/tests/unit/test_%.o $(COMMON) $(CONTROL) $(DATAPLANE)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(CONTROL_LIBS) $(LIBS) -lcmocka

$(DATAPLANE): $(call objects,$(DATAPLANE_SOURCES))
$(CONTROL): $(call objects,$(CONTROL_SOURCES))
$(COMMON): $(call objects,$(COMMON_SOURCES))
$(OBJ)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

# Who may include whom: everybody sees include/ and their own floor; dataplane/ sees nothing above it.
$(OBJ)/dataplane/%.o: CPPFLAGS += -Idataplane
$(OBJ)/control/%.o: CPPFLAGS += -Icontrol
$(OBJ)/control/version.o: CPPFLAGS += -DFLASHRELAY_VERSION='"$(VERSION)"'
$(OBJ)/tools/%.o: CPPFLAGS += -Itools
$(OBJ)/tests/%.o: CPPFLAGS += -Itests -Itools -Icontrol -Idataplane
$(OBJ)/perf/%.o: CPPFLAGS += -Iperf -Itools -Icontrol -Idataplane

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

include perf/rules.mk

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

clean: ## remove everything that was built
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
