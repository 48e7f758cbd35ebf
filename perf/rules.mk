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

# Measures one row of the project's performance goals; PERF adds options, e.g. PERF="--html build/row.html".
ROW ?=
perf: all ## measure one row: ROW=<preset>; without: list them
	$(BIN)/flashbench $(if $(ROW),--preset $(ROW) $(PERF),--list-presets)

# The files of page/ are embedded in the program.
$(OBJ)/perf/flashbench/report_html.o: $(wildcard perf/flashbench/page/*)
