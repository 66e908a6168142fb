package overlay

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/store/disk"
)

// Metrics serves the peer's metrics in Prometheus' formats: those of the ring,
// the store, tasks and calls, whose names begin with chorus_, and of the Go
// runtime. They are gathered when they are asked for.
//
// With Config.Metrics there are also the times of puts, gets and deletes, and
// the metrics of libp2p (libp2p_) and kad-dht (kad_). These two count by
// process: several nodes in one program share the figures. A program that sets an
// OpenTelemetry provider before it joins gets those of kad-dht there instead, and
// those of a Config.Host are wherever its maker registered them.
func (n *Node) Metrics() http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(figureCollector{n}, collectors.NewGoCollector())
	sources := prometheus.Gatherers{own}
	if n.meter != nil {
		sources = append(sources, n.meter.registry, n.meter.kad)
	}
	return promhttp.HandlerFor(sources, promhttp.HandlerOpts{})
}

// meter keeps what cannot be looked up when it is asked for. A nil meter keeps
// nothing.
type meter struct {
	registry   *prometheus.Registry // libp2p's metrics and our own
	kad        prometheus.Gatherer
	operations *prometheus.HistogramVec
}

func newMeter() (*meter, error) {
	kad, err := p2p.KadMetrics()
	if err != nil {
		return nil, err
	}
	m := &meter{registry: prometheus.NewRegistry(), kad: kad}
	m.operations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "chorus_store_operation_seconds",
		Help: "Puts, deletes and gets that this peer coordinated, by how they ended.",
		Buckets: []float64{
			.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5,
		},
	}, []string{"op", "result"})
	m.registry.MustRegister(m.operations)
	return m, nil
}

// registerer is where others register theirs; nil for none.
func (m *meter) registerer() prometheus.Registerer {
	if m == nil {
		return nil
	}
	return m.registry
}

// begin returns when an operation begins, for end.
func (m *meter) begin() time.Time {
	if m == nil {
		return time.Time{}
	}
	return time.Now()
}

// end notes an operation that has ended with *err.
func (m *meter) end(op string, began time.Time, err *error) {
	if m == nil {
		return
	}
	result := "ok"
	switch {
	case errors.Is(*err, ErrNotFound):
		result = "not_found"
	case *err != nil:
		result = "error"
	}
	m.operations.WithLabelValues(op, result).Observe(time.Since(began).Seconds())
}

// figures is what a peer's parts have counted by now.
type figures struct {
	peers, agree, of, table int
	keys, underReplicated   int
	ring                    chord.Stats
	back                    [waysBack]uint64
	held                    disk.Counts
	repaired, repairMeta    uint64
	reclaimed               uint64
	forged                  uint64
	tasks                   compute.Stats
	modules                 wasm.Stats
	calls                   rpc.Stats
}

// gatherTime bounds a look at the cores.
const gatherTime = 2 * time.Second

func (n *Node) figures(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	if n.guest != nil {
		return figures{peers: n.view().Len(), calls: n.host.Stats()}, nil // it has no more
	}
	f := figures{peers: n.view().Len(), held: n.disk.Totals(), calls: n.host.Stats(), back: n.reunion.stats()}
	if kad := n.host.Kad(); kad != nil {
		f.table = kad.RoutingTable().Size()
	}
	f.keys, f.underReplicated = n.countKeys()
	f.repaired, f.repairMeta = n.puller.stats.records.Load(), n.puller.stats.meta.Load()
	f.reclaimed, f.forged = n.puller.stats.reclaimed.Load(), n.owned.forged.Load()
	if n.workers.sandbox != nil {
		f.modules = n.workers.sandbox.Stats()
	}
	err := n.members.loop.Do(ctx, func(core *chord.Ring) {
		f.agree, f.of, _ = core.Agreement()
		f.ring = core.Stats()
	})
	if err != nil {
		return f, n.orClosed(err)
	}
	return f, n.tasks.look(ctx, func(core scheduler) { f.tasks = core.Stats() })
}

// metric is one of the figures under its name.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*figures) float64
}

func gauge[V int | int64](name, help string, value func(*figures) V) metric {
	return metric{
		prometheus.NewDesc("chorus_"+name, help, nil, nil), prometheus.GaugeValue,
		func(f *figures) float64 { return float64(value(f)) },
	}
}

func counter(name, help string, value func(*figures) uint64) metric {
	return metric{
		prometheus.NewDesc("chorus_"+name+"_total", help, nil, nil), prometheus.CounterValue,
		func(f *figures) float64 { return float64(value(f)) },
	}
}

// refusals counts what the ring refused, by reason.
func refusals() []metric {
	ms := make([]metric, chord.Reasons)
	for x := range chord.Reasons {
		ms[x] = metric{
			prometheus.NewDesc("chorus_ring_refused_total", "Ring messages, and peer records in them, that were refused.",
				nil, prometheus.Labels{"reason": x.String()}),
			prometheus.CounterValue,
			func(f *figures) float64 { return float64(f.ring.RefusedBy[x]) },
		}
	}
	return ms
}

// moduleFailures counts runs of modules that failed, by what the module did.
func moduleFailures() (ms []metric) {
	for _, kind := range wasm.Kinds {
		ms = append(ms, metric{
			prometheus.NewDesc("chorus_wasm_failed_total", "Runs of WebAssembly modules at this peer that failed.",
				nil, prometheus.Labels{"kind": string(kind)}),
			prometheus.CounterValue,
			func(f *figures) float64 { return float64(f.modules.Failed[kind]) },
		})
	}
	return ms
}

var metrics = slices.Concat(refusals(), moduleFailures(), []metric{
	gauge("ring_peers", "Peers in this peer's view of the ring, itself included.", func(f *figures) int { return f.peers }),
	gauge("ring_agree", "Of chorus_ring_of peers, those that see the same ring.", func(f *figures) int { return f.agree + 1 }),
	gauge("ring_of", "Peers whose view of the ring is compared with this one's.", func(f *figures) int { return f.of + 1 }),
	counter("ring_timeouts", "Requests of the ring without an answer in time.", func(f *figures) uint64 { return f.ring.Timeouts }),
	counter("ring_suspected", "Times that a peer fell under suspicion.", func(f *figures) uint64 { return f.ring.Suspected }),
	counter("ring_vetted", "Suspects of other peers that were probed for them.", func(f *figures) uint64 { return f.ring.Vetted }),
	counter("ring_vouched", "Times that another peer had heard of a suspect.", func(f *figures) uint64 { return f.ring.Vouched }),
	counter("ring_overslept", "Times that this peer was stopped, or too busy to keep its time.", func(f *figures) uint64 { return f.ring.Overslept }),
	counter("ring_evicted", "Peers that were taken out of the view.", func(f *figures) uint64 { return f.ring.Evicted }),
	counter("ring_readmitted", "Peers that came back after that.", func(f *figures) uint64 { return f.ring.Readmitted }),
	counter("ring_back_by_memory", "Peers out of sight that came back because this peer tried them.", func(f *figures) uint64 { return f.back[byMemory] }),
	counter("ring_back_by_kademlia", "Peers out of sight that Kademlia found near this peer's positions.", func(f *figures) uint64 { return f.back[byKademlia] }),
	counter("ring_back_by_ring", "Peers out of sight that came back through the ring's own messages.", func(f *figures) uint64 { return f.back[byRing] }),
	gauge("kad_table_peers", "Peers in Kademlia's routing table.", func(f *figures) int { return f.table }),

	gauge("store_keys", "Keys that this peer holds as a voter.", func(f *figures) int { return f.keys }),
	gauge("store_under_replicated_keys", "Of these, keys that lack a live replica.", func(f *figures) int { return f.underReplicated }),
	gauge("store_tombstones", "Records of deleted keys on disk.", func(f *figures) int64 { return f.held.Tombstones }),
	counter("store_pulled_records", "Records that this peer pulled from other replicas.", func(f *figures) uint64 { return f.repaired }),
	counter("store_pull_meta_bytes", "Bytes to and from other replicas to find out what to pull.", func(f *figures) uint64 { return f.repairMeta }),
	counter("store_reclaimed_records", "Records of deleted and expired keys that were dropped from disk.", func(f *figures) uint64 { return f.reclaimed }),
	counter("store_forged_records", "Records of owned namespaces without a signature that holds, which were refused.", func(f *figures) uint64 { return f.forged }),
	gauge("store_bytes", "Size of the records on disk.", func(f *figures) int64 { return f.held.Bytes }),

	gauge("tasks_queued", "Tasks that wait at this peer.", func(f *figures) int { return f.tasks.Queued }),
	gauge("tasks_running", "Tasks that run at this peer.", func(f *figures) int { return f.tasks.Running }),
	counter("tasks_done", "Attempts at tasks that ran to their end at this peer.", func(f *figures) uint64 { return f.tasks.Done }),
	counter("tasks_stolen_in", "Tasks that this peer stole from others.", func(f *figures) uint64 { return f.tasks.StolenIn }),
	counter("tasks_stolen_out", "Tasks that others stole from this peer.", func(f *figures) uint64 { return f.tasks.StolenOut }),
	counter("tasks_reruns", "Further attempts at tasks that this peer submitted.", func(f *figures) uint64 { return f.tasks.Reruns }),
	counter("tasks_refused", "Task messages that were refused.", func(f *figures) uint64 { return f.tasks.Refused }),
	counter("wasm_runs", "Runs of WebAssembly modules at this peer.", func(f *figures) uint64 { return f.modules.Runs }),
	counter("wasm_warm_runs", "Of these, calls of a reactor that was ready.", func(f *figures) uint64 { return f.modules.Warm }),
	counter("wasm_sandboxes", "Processes that were started to run modules in.", func(f *figures) uint64 { return f.modules.Started }),

	counter("rpc_calls", "Calls to other peers.", func(f *figures) uint64 { return f.calls.Calls }),
	counter("rpc_casts", "One-way messages to other peers.", func(f *figures) uint64 { return f.calls.Casts }),
	counter("rpc_served", "Calls and casts of other peers that were answered.", func(f *figures) uint64 { return f.calls.Served }),
	counter("rpc_refused", "Calls and casts of other peers that were refused.", func(f *figures) uint64 { return f.calls.Refused }),
})

// figureCollector gathers the figures for Prometheus.
type figureCollector struct{ n *Node }

var _ prometheus.Collector = figureCollector{}

// Describe implements prometheus.Collector.
func (figureCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c figureCollector) Collect(ch chan<- prometheus.Metric) {
	f, err := c.n.figures(c.n.ctx)
	for _, m := range metrics {
		if err != nil {
			ch <- prometheus.NewInvalidMetric(m.desc, err)
			return
		}
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&f))
	}
}
