# One verb for each wish. The work is meson's and ninja's; ccache is used when it is there.
BUILD   ?= build
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
NODES   ?= 3
SEED    ?= 1
MINUTES ?= 3
SUITE   ?=
ARGS    ?=

SIM = $(BUILD)/holdfast-sim

# The set of folders that take part is read at configuration: configure again when one has come or gone.
FOLDERS := $(sort $(wildcard src/*/meson.build src/*/*/meson.build sim/meson.build bench/meson.build \
    tests/*/meson.build tests/*/*/meson.build))

.PHONY: all build programs deb run test test-asan test-tsan check analyze format sim swarm planted bench bench-growth sim-cost journey failover clean help

all: build

define configure
	@if [ ! -f $(1)/build.ninja ]; then meson setup $(1) $(2); \
	 elif [ "$$(cat $(1)/folders 2>/dev/null)" != "$(FOLDERS)" ]; then meson setup --reconfigure $(1); fi
	@echo "$(FOLDERS)" > $(1)/folders
endef

# flock: two makes in one checkout wait for each other instead of building into the same files.
define suite_build
	flock $(1) ninja -C $(1) -j $(JOBS) -k 0 $(if $(SUITE),tests-$(SUITE))
endef

define suite_run
	meson test -C $(1) --no-rebuild --print-errorlogs --num-processes $(JOBS) $(if $(SUITE),--suite $(SUITE)) $(2)
endef

build:
	$(call configure,$(BUILD))
	flock $(BUILD) ninja -C $(BUILD) -j $(JOBS) -k 0

programs:
	$(call configure,$(BUILD))
	flock $(BUILD) ninja -C $(BUILD) -j $(JOBS) holdfastd holdfast holdfast-sim

deb: programs
	tools/deb.sh $(BUILD)

run: programs
	$(BUILD)/holdfast dev --nodes $(NODES) $(ARGS)

test:
	$(call configure,$(BUILD))
	$(call suite_build,$(BUILD))
	$(call suite_run,$(BUILD))

# Unit tests only: processes are tested as they are shipped.
test-asan:
	$(call configure,build-asan,-Db_sanitize=address$(,)undefined -Db_lundef=false)
	$(call suite_build,build-asan)
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	$(call suite_run,build-asan,--no-suite process)

# TSan cannot place its shadow where the kernel randomises addresses widely: without randomisation where that is allowed.
STEADY = $(shell setarch -R true 2>/dev/null && echo setarch -R)

# Only folders that have threads, and real nodes of several workers: the rest is one thread by design.
THREADED = $(or $(SUITE),$(foreach folder,io http holdfastd,$(if $(wildcard test*/$(folder)/meson.build),$(folder))))

TSAN = halt_on_error=1:history_size=7:second_deadlock_stack=1:suppressions=$(CURDIR)/tools/tsan.supp

test-tsan:
	$(call configure,build-tsan,-Db_sanitize=thread -Db_lundef=false)
	flock build-tsan ninja -C build-tsan -j $(JOBS) -k 0 $(addprefix tests-,$(THREADED)) $(if $(SUITE),,tests-process)
	TSAN_OPTIONS=$(TSAN) $(STEADY) meson test -C build-tsan --no-rebuild \
	    --print-errorlogs --num-processes $(JOBS) $(addprefix --suite ,$(THREADED))
	$(if $(SUITE),,TSAN_OPTIONS=$(TSAN) $(STEADY) meson test -C build-tsan --no-rebuild --print-errorlogs \
	    --suite process workers)

analyze: build
	ANALYZE=1 python3 tools/check/tidy.py build

check: build
	tools/check/all.sh $(BUILD)

format:
	clang-format -i $$(tools/check/sources.sh)

sim: build
	$(SIM) run --seed $(SEED) $(ARGS)

swarm: build
	$(SIM) swarm --minutes $(MINUTES) --jobs $(JOBS) $(ARGS)

planted:
	tools/planted.sh $(ARGS)

bench: build
	tools/packages.sh bench
	python3 bench/bench.py --build $(BUILD) $(ARGS)

bench-growth: build
	python3 bench/growth.py --build $(BUILD) $(ARGS)

failover: build
	python3 bench/failover.py --build $(BUILD) $(ARGS)
	python3 bench/ledger.py --build $(BUILD)

sim-cost: build
	@$(SIM) cost $(ARGS)

journey: build
	@$(SIM) journey $(ARGS)

clean:
	rm -rf build build-asan build-tsan build-planted

help:
	@echo "make                    build into build/ (assertions on; ccache when there)"
	@echo "make programs           the three programs, without tests"
	@echo "make deb                a Debian package of the programs, in build/"
	@echo "make run                a cluster of NODES=3 in the foreground"
	@echo "make test               all tests; SUITE=raft for those of one folder"
	@echo "make analyze            clang's analyzer on every source file: slow"
	@echo "make check              the guards: floors, purity, sizes, format, tidy, invariants, golden texts"
	@echo "make sim SEED=n         one simulated run, from its seed"
	@echo "make swarm MINUTES=n    many seeds, faults of all kinds"
	@echo "make planted            faults built in on purpose: each must be found"
	@echo "make bench              ours beside redis-server and etcd-server"
	@echo "make bench-growth       what a write costs as keys, partitions, connections, values, workers grow"
	@echo "make failover           kill, cut off and pause the leader under load"
	@echo "make sim-cost           counted cost of each operation (a golden test)"
	@echo "make journey            the path of one write through the files (a golden test)"
	@echo "make test-asan          unit tests under ASan and UBSan;  make test-tsan: the threaded ones under TSan"
	@echo "make format             clang-format, in place"
	@echo "make clean              remove the build directories"

, := ,
