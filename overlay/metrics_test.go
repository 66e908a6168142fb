package overlay

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// scrape returns the lines that a node's metrics consist of, comments left out.
func scrape(t *testing.T, n *Node) (status int, values map[string]string) {
	t.Helper()
	rec := httptest.NewRecorder()
	n.Metrics().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	values = make(map[string]string)
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && line[0] != '#' {
			values[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && line[0] != '#' {
			values[name] = value
		}
	}
	return rec.Code, values
}

// families returns how many of the values' names begin with a prefix.
func families(values map[string]string, prefix string) (n int) {
	for name := range values {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// Two nodes of one program have metrics of their own, beside those that
// libp2p and Kademlia count by process.
func TestMetrics(t *testing.T) {
	ctx := t.Context()
	a := joinTest(t, nil, Config{Metrics: true})
	b := joinTest(t, a, Config{Metrics: true})
	off := joinTest(t, a, Config{})
	for range 3 {
		if _, err := a.Put(ctx, "m/key", []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Get(ctx, "m/key"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(ctx, "m/none"); err == nil {
		t.Fatal("found m/none")
	}
	if _, err := b.Delete(ctx, "m/key"); err != nil {
		t.Fatal(err)
	}
	key := cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
	if err := a.Routing().Provide(ctx, key, true); err != nil {
		t.Fatal(err)
	}

	operations := func(values map[string]string) map[string]string {
		counts := make(map[string]string)
		for name, v := range values {
			if rest, ok := strings.CutPrefix(name, "chorus_store_operation_seconds_count"); ok {
				counts[rest] = v
			}
		}
		return counts
	}
	for _, tt := range []struct {
		node       *Node
		operations map[string]string
	}{
		{a, map[string]string{`{op="put",result="ok"}`: "3"}},
		{b, map[string]string{`{op="get",result="ok"}`: "1", `{op="get",result="not_found"}`: "1", `{op="delete",result="ok"}`: "1"}},
		{off, map[string]string{}},
	} {
		status, values := scrape(t, tt.node)
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		if got := operations(values); !maps.Equal(got, tt.operations) {
			t.Errorf("operations %v, want %v", got, tt.operations)
		}
		if got := values["chorus_ring_peers"]; got != "3" {
			t.Errorf("%s peers", got)
		}
		if values["chorus_rpc_calls_total"] == "0" || families(values, "go_") == 0 {
			t.Errorf("calls and the runtime are not counted: %v", slices.Sorted(maps.Keys(values)))
		}
		on := tt.node != off
		for _, prefix := range []string{"libp2p_swarm_", "libp2p_rcmgr_", "kad_rpc_outbound_", "kad_rpc_inbound_"} {
			if got := families(values, prefix); (got > 0) != on {
				t.Errorf("metrics on %v: %d begin with %s", on, got, prefix)
			}
		}
	}

	if err := off.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _ := scrape(t, off); status != http.StatusInternalServerError {
		t.Errorf("status %d of a closed node", status)
	}
}

// A node whose metrics are off spends nothing on them.
func TestMeterOff(t *testing.T) {
	var m *meter
	var err error
	if n := testing.AllocsPerRun(100, func() { m.end("get", m.begin(), &err) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if m.registerer() != nil {
		t.Error("has a registerer")
	}
}
