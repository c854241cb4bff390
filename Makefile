# make            the program, build/meros            make run      install what is missing, build, start with demo data
# make test       install what tests need, run all    make bench    speed and answers against peers (FULL=1: full sizes)
# make lint       formatting-independent checks       make fuzz T=csv SECONDS=60   fuzz one target with libFuzzer
# Variants: make SAN=address,undefined | SAN=thread | DEBUG=1 build beside the release, in build/<variant>/.

.DELETE_ON_ERROR:
SHELL := /bin/sh
# Commands are shown short; V=1 shows them whole.
SAY := $(if $(V),,@)echo

# --- layers: what each may call and include. A layer that is not listed cannot be included (its headers are not on the
# include path) nor linked (its tests link this list only).
LAYERS       := base codec domain jobs ml feature model http connect store service api app
USES_base    :=
USES_codec   := base
USES_domain  := base
USES_jobs    := base
USES_ml      := base
USES_feature := ml domain codec base
USES_model   := feature ml domain codec base
USES_http    := codec base
USES_connect := codec base
USES_store   := domain codec base
USES_service := connect store model feature ml jobs domain codec base
USES_api     := service http jobs domain codec base
USES_app     := api service store model feature ml jobs connect http domain codec base

# The libraries that a layer brings along when it is linked; only that layer includes their headers.
LIBS_base  := -lsodium -lm -lpthread
LIBS_codec := -ljansson -lz
LIBS_ml    := -lopenblas
LIBS_http  := -lmicrohttpd -lgnutls
LIBS_connect := -lcurl -lrdkafka
LIBS_store := -lpq
LIBS_app   := -lcurl

# --- variants
ifeq ($(SAN),address,undefined)
  VARIANT  := asan
  CC       := gcc
  OPT      := -O1 -g
  SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),thread)
  VARIANT  := tsan
  CC       := gcc
  OPT      := -O1 -g
  SANFLAGS := -fsanitize=thread
else ifneq ($(SAN),)
  $(error SAN is "address,undefined" or "thread", not "$(SAN)")
else ifeq ($(DEBUG),1)
  VARIANT  := debug
  CC       := gcc
  OPT      := -O0 -g3
else
  VARIANT  := release
  CC       := gcc
  OPT      := -O2 -g
endif
OUT := build/$(VARIANT)

VERSION  := 0.1.0
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wundef \
            -Wformat=2 -Wno-format-nonliteral -Wcast-qual
CFLAGS   := -std=gnu11 $(OPT) $(WARN) $(SANFLAGS) -fopenmp-simd -fstack-protector-strong -fPIE -pthread -ffp-contract=off
CPPFLAGS := -D_GNU_SOURCE -DMEROS_VERSION='"$(VERSION)"'
LDFLAGS  := $(SANFLAGS) -pie -Wl,-z,relro,-z,now -pthread
OPENBLAS_INCLUDE := -I/usr/include/x86_64-linux-gnu/openblas-pthread -I/usr/include/aarch64-linux-gnu/openblas-pthread
POSTGRES_INCLUDE := -I/usr/include/postgresql

.PHONY: all run test bench lint fuzz clean check-layers tests-build FORCE
# Objects of tests are kept, though only a pattern names them.
.SECONDARY:
all: build/meros

# --- objects and archives, a library a layer
define layer_rules
SRC_$(1) := $$(sort $$(wildcard src/$(1)/*.c))
OBJ_$(1) := $$(SRC_$(1):src/%.c=$$(OUT)/obj/%.o)
INC_$(1) := $$(foreach l,$(1) $$(USES_$(1)),build/include/$(1)/meros/$$(l))
$$(OUT)/obj/$(1)/%.o: src/$(1)/%.c $$(OUT)/flags | $$(INC_$(1))
	@mkdir -p $$(@D)
	$$(SAY) CC $$< && $$(CC) $$(CPPFLAGS) -Ibuild/include/$(1) $$(if $$(filter ml,$(1)),$$(OPENBLAS_INCLUDE)) $$(if $$(filter store,$(1)),$$(POSTGRES_INCLUDE)) $$(CFLAGS) $$(CFLAGS_$(1)) -MMD -MP -c $$< -o $$@
$$(OUT)/lib$(1).a: $$(OBJ_$(1)) $$(GEN_$(1)) $$(wildcard src/$(1))
	@rm -f $$@
	@ar rcs $$@ $$(filter %.o,$$^)
endef
# Each layer sees only the headers it may use: a folder of links per layer is its whole include path.
define include_rules
$(foreach l,$(1) $(USES_$(1)),build/include/$(1)/meros/$(l)):
	@mkdir -p $$(@D) && ln -sfn ../../../../include/meros/$$(@F) $$@
endef
CFLAGS_ml := -O3

# --- files embedded in the program: migrations (store) and the contract (api)
MIGRATIONS := $(sort $(wildcard sql/migrations/*.sql))
GEN_store  := $(OUT)/obj/store/embedded_sql.o
GEN_api    := $(OUT)/obj/api/embedded_files.o
$(OUT)/gen/embedded_sql.S: $(MIGRATIONS) $(wildcard sql/migrations) .ci/embed
	@mkdir -p $(@D) && sh .ci/embed store_migrations $(MIGRATIONS) > $@
$(OUT)/gen/embedded_files.S: $(wildcard openapi/*) .ci/embed
	@mkdir -p $(@D) && sh .ci/embed api_files $(sort $(wildcard openapi/*)) > $@
$(OUT)/obj/store/embedded_sql.o: $(OUT)/gen/embedded_sql.S
	@mkdir -p $(@D) && $(CC) -c $< -o $@
$(OUT)/obj/api/embedded_files.o: $(OUT)/gen/embedded_files.S
	@mkdir -p $(@D) && $(CC) -c $< -o $@

$(foreach l,$(LAYERS),$(eval $(call include_rules,$(l))))
$(foreach l,$(LAYERS),$(eval $(call layer_rules,$(l))))

# Rebuild when the flags or the compiler change.
$(OUT)/flags: FORCE
	@mkdir -p $(OUT) && echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_ml)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_ml)' > $@

# --- the program
ALL_LIBS = $(foreach l,$(1),$(OUT)/lib$(l).a)
EXT_LIBS = $(foreach l,$(1),$(LIBS_$(l)))
$(OUT)/obj/main.o: src/main.c $(OUT)/flags | $(INC_app)
	@mkdir -p $(@D)
	$(SAY) CC $< && $(CC) $(CPPFLAGS) -Ibuild/include/app $(CFLAGS) -MMD -MP -c $< -o $@
$(OUT)/meros: $(OUT)/obj/main.o $(call ALL_LIBS,app $(USES_app))
	$(SAY) LD $@ && $(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(call ALL_LIBS,app $(USES_app)) -Wl,--end-group $(call EXT_LIBS,app $(USES_app))
build/meros: build/release/meros
	@ln -sfn release/meros build/meros
ifneq ($(VARIANT),release)
build/release/meros: FORCE
	$(MAKE) SAN= DEBUG= build/release/meros
endif

# --- tests. A unit test of a layer links that layer and what it may use, nothing else.
TEST_CPPFLAGS = $(CPPFLAGS) -Itests/support
TEST_CFLAGS   = $(CFLAGS) -Wno-missing-prototypes
# Objects of the sources in $(1), from tests/, seen through the include path $(2).
TEST_OBJ = $(patsubst tests/%.c,$(OUT)/obj/tests/%.o,$(1))
define test_object_rules
$$(OUT)/obj/tests/$(1)/%.o: tests/$(1)/%.c $$(OUT)/flags | $$(INC_$(2))
	@mkdir -p $$(@D)
	$$(SAY) CC $$< && $$(CC) $$(TEST_CPPFLAGS) -Ibuild/include/$(2) $(3) $$(TEST_CFLAGS) -MMD -MP -c $$< -o $$@
endef
UNIT_SUPPORT := $(sort $(wildcard tests/support/unit*.c))
define unit_rules
UNIT_$(1) := $$(sort $$(wildcard tests/unit/$(1)/*.c))
$$(eval $$(call test_object_rules,unit/$(1),$(1),-Isrc/$(1) $$(if $$(filter store,$(1)),$$(POSTGRES_INCLUDE))))
$$(OUT)/tests/unit_$(1): $$(call TEST_OBJ,$$(UNIT_$(1)) $$(UNIT_SUPPORT)) $$(call ALL_LIBS,$(1) $$(USES_$(1)) $$(LINKS_$(1)))
	@mkdir -p $$(@D)
	$$(SAY) LD $$@ && $$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(call ALL_LIBS,$(1) $$(USES_$(1)) $$(LINKS_$(1))) -Wl,--end-group -lcriterion $$(call EXT_LIBS,$(1) $$(USES_$(1)) $$(LINKS_$(1))) $$(TESTLIBS_$(1))
endef
TESTLIBS_http := -lcurl
# What the layers that a layer uses use in turn, and it may not: needed to link, not to be included.
LINKS_api := connect store model feature ml
$(foreach l,$(LAYERS),$(eval $(call unit_rules,$(l))))
UNIT_BINS := $(foreach l,$(LAYERS),$(if $(wildcard tests/unit/$(l)/*.c),$(OUT)/tests/unit_$(l)))

# Tests that need more than a layer: store (a private PostgreSQL), http (the real binary, driven with libcurl).
SUPPORT := $(sort $(wildcard tests/support/*.c))
STORE_TESTS := $(sort $(wildcard tests/store/*.c))
HTTP_TESTS  := $(sort $(wildcard tests/http/*.c))
THREAD_TESTS := $(sort $(wildcard tests/threads/*.c))
FUZZ_TESTS := $(filter-out tests/fuzz/replay.c,$(sort $(wildcard tests/fuzz/*.c)))
$(eval $(call test_object_rules,support,app,$(POSTGRES_INCLUDE)))
$(eval $(call test_object_rules,store,app,-Isrc/store $(POSTGRES_INCLUDE)))
$(eval $(call test_object_rules,http,app,$(POSTGRES_INCLUDE)))
$(eval $(call test_object_rules,threads,app,$(POSTGRES_INCLUDE)))
$(eval $(call test_object_rules,fuzz,app,))
APP_LIBS = -Wl,--start-group $(call ALL_LIBS,app $(USES_app)) -Wl,--end-group
$(OUT)/tests/store: $(call TEST_OBJ,$(STORE_TESTS) $(SUPPORT)) $(call ALL_LIBS,app $(USES_app))
	@mkdir -p $(@D)
	$(SAY) LD $@ && $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(APP_LIBS) -lcriterion -lyaml $(call EXT_LIBS,app $(USES_app))
$(OUT)/tests/http: $(call TEST_OBJ,$(HTTP_TESTS) $(SUPPORT)) $(OUT)/meros
	@mkdir -p $(@D)
	$(SAY) LD $@ && $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(APP_LIBS) -lcriterion -lyaml $(call EXT_LIBS,app $(USES_app))

# sql/schema.sql: what all migrations together make, as pg_dump writes it. A test fails when it is stale.
schema: $(OUT)/tests/store
	MEROS_WRITE_SCHEMA=sql/schema.sql $(OUT)/tests/store --filter 'schema/*' >/dev/null
.PHONY: schema

# Thread tests are plain programs: criterion cannot run under ThreadSanitizer.
THREAD_BINS  := $(THREAD_TESTS:tests/threads/%.c=$(OUT)/tests/threads_%)
$(OUT)/tests/threads_%: $(OUT)/obj/tests/threads/%.o $(call ALL_LIBS,app $(USES_app))
	@mkdir -p $(@D)
	$(SAY) LD $@ && $(CC) $(LDFLAGS) -o $@ $< $(APP_LIBS) $(call EXT_LIBS,app $(USES_app))

# Fuzz targets: tests/fuzz/<name>.c defines LLVMFuzzerTestOneInput; `make test` replays tests/fuzz/corpus/<name>/*.
FUZZ_BINS  := $(FUZZ_TESTS:tests/fuzz/%.c=$(OUT)/tests/fuzz_%)
$(OUT)/tests/fuzz_%: $(OUT)/obj/tests/fuzz/%.o $(OUT)/obj/tests/fuzz/replay.o $(call ALL_LIBS,app $(USES_app))
	@mkdir -p $(@D)
	$(SAY) LD $@ && $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(APP_LIBS) $(call EXT_LIBS,app $(USES_app))

tests-build: $(UNIT_BINS) $(if $(STORE_TESTS),$(OUT)/tests/store) $(if $(HTTP_TESTS),$(OUT)/tests/http) $(FUZZ_BINS)
threads-build: $(THREAD_BINS)
.PHONY: threads-build

test:
	@sh .ci/install build run test
	@$(MAKE) --no-print-directory -j$$(nproc) build/meros
	@$(MAKE) --no-print-directory -j$$(nproc) SAN=address,undefined tests-build
	@$(MAKE) --no-print-directory -j$$(nproc) SAN=thread threads-build
	@$(MAKE) --no-print-directory lint
	@sh tests/run.sh

lint: check-layers
# Every header compiles alone, seen from its own layer's include path.
check-layers: $(foreach l,$(LAYERS),$(INC_$(l)))
	@for l in $(LAYERS); do for h in include/meros/$$l/*.h; do [ -e "$$h" ] || continue; \
	  $(CC) $(CPPFLAGS) -Ibuild/include/$$l -std=gnu11 -Wall -Wextra -Werror -x c -fsyntax-only -include "$$h" /dev/null || exit 1; done; done
	@bad=$$(grep -lE 'microhttpd\.h' -r src include | grep -v '^src/http/' || true; \
	  grep -lE 'libpq-fe\.h' -r src include | grep -v '^src/store/' || true; \
	  grep -lE 'jansson\.h|zlib\.h' -r src include | grep -v '^src/codec/' || true; \
	  grep -lE 'sodium\.h' -r src include | grep -v '^src/base/' || true; \
	  grep -lE 'cblas\.h|lapacke\.h' -r src include | grep -v '^src/ml/' || true; \
	  grep -lE 'curl/curl\.h' -r src include | grep -vE '^src/(connect/|app/client\.c)' || true; \
	  grep -lE 'rdkafka\.h' -r src include | grep -v '^src/connect/' || true); \
	  [ -z "$$bad" ] || { echo "third-party headers outside the layer that owns them: $$bad" >&2; exit 1; }

# --- run
run:
	@sh .ci/install build run
	@$(MAKE) --no-print-directory -j$$(nproc) build/meros
	@$(if $(PORT),MEROS_PORT=$(PORT)) sh .ci/run-demo

# --- bench
BENCH_SRC := $(filter-out tests/bench/bare_mhd.c tests/bench/events_%.c tests/bench/slowsync.c,$(sort $(wildcard tests/bench/*.c)))
# The yardstick of the HTTP benchmarks, a program of its own: bare libmicrohttpd answering a constant.
build/bare_mhd: tests/bench/bare_mhd.c $(OUT)/flags
	$(SAY) LD $@ && $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -lmicrohttpd
# The ingest benchmark: its clients, the yardstick, and a flush to disk that takes as long as it is told.
build/events_load: tests/bench/events_load.c $(OUT)/flags
	$(SAY) LD $@ && $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<
build/events_peer: tests/bench/events_peer.c $(OUT)/flags
	$(SAY) LD $@ && $(CC) $(CPPFLAGS) $(POSTGRES_INCLUDE) $(CFLAGS) $(LDFLAGS) -o $@ $< -lmicrohttpd -lpq -ljansson
build/slowsync.so: tests/bench/slowsync.c $(OUT)/flags
	$(SAY) LD $@ && $(CC) $(CPPFLAGS) $(filter-out -fPIE,$(CFLAGS)) -fPIC -shared -o $@ $< -ldl
BENCH_BINS := build/bench build/bare_mhd build/events_load build/events_peer build/slowsync.so
build/bench: $(BENCH_SRC) $(wildcard tests/bench/*.h) $(call ALL_LIBS,app $(USES_app)) $(OUT)/flags
	$(SAY) LD $@ && $(CC) $(TEST_CPPFLAGS) -Itests/bench -Ibuild/include/app $(OPENBLAS_INCLUDE) $(POSTGRES_INCLUDE) $(TEST_CFLAGS) $(LDFLAGS) -o $@ $(BENCH_SRC) -Wl,--start-group $(call ALL_LIBS,app $(USES_app)) -Wl,--end-group $(call EXT_LIBS,app $(USES_app))
bench:
	@sh .ci/install build run test bench
	@$(MAKE) --no-print-directory -j$$(nproc) build/meros $(BENCH_BINS)
	@sh tests/bench/run.sh

# --- fuzz with libFuzzer (clang). What it finds stays in build/fuzz/<name>.corpus; `make fuzz-keep T=name` merges the
# inputs that reach new code into the committed corpus.
# Of service, what is pure.
FUZZ_LAYERS := base codec domain ml feature model http
FUZZ_RUN     = build/fuzz/$(T) -max_len=4096 -timeout=10 -rss_limit_mb=4096 -artifact_prefix=build/fuzz/$(T)-
fuzz: build/fuzz/$(T)
	@mkdir -p build/fuzz/$(T).corpus tests/fuzz/corpus/$(T)
	$(FUZZ_RUN) -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 build/fuzz/$(T).corpus tests/fuzz/corpus/$(T)
fuzz-keep: build/fuzz/$(T)
	$(FUZZ_RUN) -set_cover_merge=1 tests/fuzz/corpus/$(T) build/fuzz/$(T).corpus
.PHONY: fuzz-keep
build/fuzz/$(T): FORCE
	@[ -n "$(T)" ] || { echo "make fuzz T=<target> [SECONDS=60]; targets: $(FUZZ_TESTS:tests/fuzz/%.c=%)" >&2; exit 2; }
	@mkdir -p build/fuzz
	clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(TEST_CPPFLAGS) -Ibuild/include/app $(OPENBLAS_INCLUDE) $(POSTGRES_INCLUDE) \
	  -o $@ tests/fuzz/$(T).c $(foreach l,$(FUZZ_LAYERS),$(sort $(wildcard src/$(l)/*.c))) $(sort $(wildcard src/service/dialect*.c)) src/service/order_events.c src/service/order_fold.c src/service/audience_decode.c src/service/audience_write.c $(call EXT_LIBS,$(FUZZ_LAYERS))

clean:
	rm -rf build

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
