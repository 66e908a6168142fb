# Everything here needs Go and nothing else; `make race` needs a C compiler too.
#
#   make test                 every test          make test TESTFLAGS=-short    the quick ones
#   make lint                 linters, pinned in internal/tools/go.mod
#   make race bench fuzz soak
#   make kills                kill -9 a ring of processes, KILLS times, and JOBKILLS times one that has jobs
#   make bench-peers          beside etcd, NATS and kad-dht      make powerloss            cut the power under a store
#   make build                bin/peer            make demo                     five peers in one process

GO        ?= go
PKG       ?= ./...
TESTFLAGS ?=
FUZZTIME  ?= 10s
BENCH     ?= .
BENCHTIME ?= 1s
SCHEDULES ?= 10000
LOSSES    ?= 6
KILLS     ?= 50
JOBKILLS  ?= 20
PEERSFLAGS ?=
# Modules of their own, so that the product does not carry what they need.
MODULES   ?= store/disk/powerloss internal/benchpeers
# What `make race` runs: the packages that own goroutines. The cores and the model have none, as internal/archtest sees to.
RACEPKG   ?= ./store/disk/... ./compute/wasm/... ./compute/worker/... ./internal/... ./bootstrap/... ./overlay/... ./netsim/ahead/... ./netsim/cluster/...

GOLANGCI   = $(GO) tool -modfile=internal/tools/go.mod golangci-lint

.PHONY: build test race bench fuzz soak kills powerloss bench-peers fmt fmt-check vet lint tidy-check proto demo clean

build:
	$(GO) build -trimpath -o bin/peer ./cmd/peer

test:
	$(GO) test -timeout 10m $(TESTFLAGS) $(PKG)

race:
	$(GO) test -race -short -timeout 15m $(TESTFLAGS) $(RACEPKG)

# Benchmarks report beside ns/op what their package cares for: hops/op, msgs/op.
bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m $(PKG)

# Every fuzz target of the module, FUZZTIME each; targets are found, not listed.
fuzz:
	@GO='$(GO)' internal/tools/fuzz.sh $(FUZZTIME)

# The seeded schedules of `make test`, SCHEDULES of them instead of a few.
soak:
	$(GO) test ./netsim/model -count=1 -timeout 0 -schedules $(SCHEDULES)
	$(GO) test ./store -count=1 -timeout 0 -model.schedules $(SCHEDULES) -model.deletes $(SCHEDULES) -model.hints $(SCHEDULES) -model.forces $(SCHEDULES)
	CHORUS_SOAK=1 $(GO) test ./compute -run TestSoak -count=1 -timeout 0 -v
	CHORUS_MUTANTS=1 $(GO) test ./compute -run TestMutants -count=1 -timeout 0 -v
	$(GO) test ./netsim/cluster -run TestSoak -count=1 -timeout 0 -soak 25m
	$(GO) test ./netsim/cluster -run TestRegisters -count=1 -timeout 0 -soak 5m
	$(GO) test ./netsim/cluster -run TestDurableKills -count=1 -timeout 0 -kills 1000
	$(GO) test ./netsim/cluster -run TestReunion -count=1 -timeout 0 -split 1m
	$(GO) test ./overlay -run TestFloods -count=1 -v -timeout 0 -floods 1s -floods.rounds 11
	$(GO) test ./store/disk -run TestHarmed -count=1 -timeout 0 -harms 1000 -harms.seed $$(date +%s)
	$(GO) test ./cmd/peer -run TestDamages -count=1 -timeout 0 -v -damages 200
	$(GO) test ./overlay -run TestDatastoreSuite -count=1 -timeout 0 -datastore.all
	$(MAKE) kills KILLS=500 JOBKILLS=1000
	$(MAKE) powerloss LOSSES=200

# Kills processes of a ring with -9, under load, and looks for what was acknowledged;
# and others that own or run tasks, and looks for the results.
kills:
	$(GO) test ./cmd/peer -run 'TestKills|TestJobKills' -count=1 -timeout 0 -v -kills $(KILLS) -jobkills $(JOBKILLS)

# Chorus beside etcd, NATS JetStream, kad-dht and the floor of a synced put, in one
# run, with the ratios. PEERSFLAGS: --rounds 5 --duration 2s --only floor,chorus
bench-peers:
	cd internal/benchpeers && $(GO) run . $(PEERSFLAGS)

# Takes the power away under a store, LOSSES times for each engine. Needs Linux and
# the right to mount; says so where it is skipped.
powerloss:
	cd store/disk/powerloss && $(GO) test -count=1 -timeout 0 -v . -losses $(LOSSES)

fmt:
	$(GOLANGCI) fmt

fmt-check:
	$(GOLANGCI) fmt --diff

vet:
	$(GO) vet $(PKG)
	@for m in $(MODULES); do echo "vet $$m"; (cd $$m && $(GO) vet ./...) || exit 1; done

lint:
	$(GOLANGCI) run $(PKG)

# go.mod and go.sum say what the code imports, no more and no less.
tidy-check:
	$(GO) mod tidy -diff

# Regenerates internal/wire from its .proto files; internal/wire/doc.go says how.
proto:
	$(GO) generate ./internal/wire

demo:
	$(GO) run ./cmd/peer demo

clean:
	rm -rf bin
