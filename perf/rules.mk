# perf/: the program of the micro-benchmarks and the targets that run measurements. The Makefile finds the other programs of perf/ itself.

CXX ?= c++
CXXFLAGS += -std=gnu++17 -O2 -g -Wall -Wextra -Wshadow -Werror $(if $(filter release,$(VARIANT)),$(HARDENING))
CBENCH := $(BIN)/cbench

.PHONY: bench perf

$(OBJ)/%.o: %.cc Makefile perf/rules.mk
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(CBENCH): $(call objects,$(wildcard perf/cbench/*.c)) $(OBJ)/perf/cbench/shim.o $(COMMON) $(CONTROL) $(DATAPLANE)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS) -o $@ $^ -lbenchmark $(CONTROL_LIBS) $(LIBS)

# test_flashbench tests parts of flashbench. As flashbench is no library, its objects are linked into the test.
$(BIN)/test_flashbench: $(addprefix $(OBJ)/perf/flashbench/,member.o messages.o recorder.o)
$(BIN)/test_flashbench: LIBS := $(DATAPLANE) $(LIBS)
$(OBJ)/tests/unit/test_flashbench.o: CPPFLAGS += -iquote perf

# The population of simulated clients needs DPDK, as the programs that use it do.
POPULATION := $(if $(DPDK),$(call objects,$(wildcard perf/population/*.c)))
$(POPULATION): CPPFLAGS += $(DPDK_CFLAGS)
$(BIN)/bypass_floor $(BIN)/bypass_relay $(BIN)/test_population: $(POPULATION)
$(OBJ)/tests/unit/test_population.o: CPPFLAGS += -iquote perf

# The revision to compare with is built in a git work tree of its own, below build/.
BENCH_BASE := build/bench-base
BENCH_ROUNDS ?= 7

bench: ## run the micro-benchmarks; BASE=<revision>: against that revision, in one interleaved run
	@tools/deps.sh build bench
	@$(MAKE) --no-print-directory $(CBENCH)
ifeq ($(BASE),)
	$(CBENCH) --benchmark_out=build/bench.json --benchmark_out_format=json
else
	git worktree remove --force $(BENCH_BASE) 2>/dev/null || rm -rf $(BENCH_BASE)
	git worktree prune
	git worktree add --detach $(BENCH_BASE) $(BASE)
	$(MAKE) -C $(BENCH_BASE) BASE= build/cbench
	perf/cbench/compare.py --rounds $(BENCH_ROUNDS) --json build/bench.json $(BENCH_BASE)/build/cbench $(CBENCH)
	git worktree remove --force $(BENCH_BASE)
endif

# flashbench is built with the tools, and so is bare_loop: flashbench's presets compare with it and expect it in flashbench's own folder.
all: $(BIN)/flashbench $(BIN)/bare_loop $(if $(DPDK),$(addprefix $(BIN)/,$(DPDK_PROGRAMS)))

# Rows that need no kernel sockets: options of bypass_relay. They need 512 huge pages.
BYPASS_PAIRS := --huge --seconds 500ms --pairs 7
BYPASS_ROW_bypass-25k := $(BYPASS_PAIRS) --subscribers 10000
BYPASS_ROW_bypass-tso := $(BYPASS_PAIRS) --subscribers 10000 --tso --acks burst
BYPASS_ROW_bypass-4k := $(BYPASS_PAIRS) --subscribers 10000 --bytes 4k
BYPASS_ROW_bypass-million := --huge --rounds 3 --pairs 7 --subscribers 1000000
BYPASS_ROW_bypass-sizes := --huge --bytes 4k,25k
BYPASS_ROW_bypass-minute := --huge --subscribers 1000000 --bytes 2k --interval 1s --rounds 60
BYPASS_ROW_bypass-connect := --huge --subscribers 1000000 --connect-only
BYPASS_ROW_bypass-loss := $(BYPASS_PAIRS) --subscribers 10000 --loss 1% --against plain
BYPASS_ROW_bypass-flood := $(BYPASS_PAIRS) --subscribers 10000 --syn-flood 1000000 --against plain
BYPASS_ROW_bypass-stalled := --huge --pairs 7 --rounds 20 --subscribers 10000 --stalled 10% --against plain
BYPASS_ROWS := $(patsubst BYPASS_ROW_%,%,$(filter BYPASS_ROW_%,$(.VARIABLES)))

# Measures one row of the project's performance goals; PERF adds options, e.g. PERF="--html build/row.html".
ROW ?=
perf: all ## measure one row: ROW=<preset>; without: list them
ifneq ($(filter bypass-%,$(ROW)),)
	$(if $(BYPASS_ROW_$(ROW)),$(BIN)/bypass_relay $(BYPASS_ROW_$(ROW)) $(PERF),$(error ROW=$(ROW): expected one of $(sort $(BYPASS_ROWS))))
else
	$(BIN)/flashbench $(if $(ROW),--preset $(ROW) $(PERF),--list-presets)
	$(if $(ROW),,@printf '%s\n' $(sort $(BYPASS_ROWS)))
endif

# The files of page/ are embedded in the program.
$(OBJ)/perf/flashbench/report_html.o: $(wildcard perf/flashbench/page/*)
