package main

import (
	"strings"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

func TestNetsimModel(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	var doc map[string]any
	s.doc(&doc, "netsim", "model", "--peers", "12", "--seed", "3", "--positions", "2", "--kill", "0.25", "--loss", "0.01", "--duration", "20s")
	keysOf(t, "netsim model", doc,
		"peers", "seed", "virtual_s", "violations", "lookups", "bytes_per_peer_s", "load_max_over_mean", "heal_s", "heal_bytes_per_peer", "wrong_owner_healed", "efficiency", "wall_s", "rss_mib",
		"schedules", "rough", "positions", "successor_peers", "fingers_only", "kill", "churn_s", "loss", "split_s", "rings", "regions", "region_delay_s", "plain_chord", "workload", "rate", "duration_s")
	lookups, ok := doc["lookups"].(map[string]any)
	if !ok {
		t.Fatalf("netsim model: lookups are %v", doc["lookups"])
	}
	keysOf(t, "lookups", lookups, "n", "failed", "wrong_owner", "mean_hops", "one_hop", "timeouts", "messages")
	for key, want := range map[string]any{"peers": 12.0, "seed": 3.0, "positions": 2.0, "kill": 0.25, "loss": 0.01, "duration_s": 20.0, "violations": 0.0} {
		if doc[key] != want {
			t.Errorf("%s is %v, want %v", key, doc[key], want)
		}
	}
	if lookups["n"].(float64) < 500 || doc["heal_s"].(float64) <= 0 {
		t.Errorf("netsim model: %v", doc)
	}
	if out := s.ok("netsim", "model", "--peers", "5", "--duration", "2s", "--fingers-only"); !strings.Contains(out, "fingers only") {
		t.Errorf("netsim model: %s", out)
	}
	s.doc(&doc, "netsim", "model", "--peers", "12", "--positions", "2", "--duration", "10s", "--plain-chord")
	plain, ok := doc["plain_chord"].(map[string]any)
	if !ok {
		t.Fatalf("netsim model: plain Chord is %v", doc["plain_chord"])
	}
	keysOf(t, "plain chord", plain, "peers", "positions", "lookups", "bytes_per_peer_s", "load_max_over_mean")
	ours, theirs := doc["lookups"].(map[string]any), plain["lookups"].(map[string]any)
	keysOf(t, "lookups", ours, "messages", "bytes", "mean_ms", "abandoned", "hedges")
	if ours["n"] != theirs["n"] || ours["mean_hops"].(float64) >= theirs["mean_hops"].(float64) || plain["positions"] != 1.0 {
		t.Errorf("lookups %v, in plain Chord %v", ours, theirs)
	}
	if out := s.ok("netsim", "model", "--peers", "6", "--duration", "2s", "--plain-chord", "--regions", "2"); !strings.Contains(out, "plain Chord") || !strings.Contains(out, "2 regions 75 ms apart") {
		t.Errorf("netsim model: %s", out)
	}
	s.doc(&doc, "netsim", "model", "--peers", "30", "--positions", "2", "--duration", "10s", "--fingers-only", "--liars", "0.2", "--sybils", "4")
	if doc["liars"] != 0.2 || doc["sybils"] != 4.0 || doc["wary"] != true || doc["lookups"].(map[string]any)["right"].(float64) < 0.9 {
		t.Errorf("netsim model with liars: %v", doc)
	}
	owned, ok := doc["owned"].(map[string]any)
	if !ok {
		t.Fatalf("netsim model with liars: owned is %v", doc["owned"])
	}
	for _, part := range []string{"anywhere", "beside_sybils"} {
		reads, ok := owned[part].(map[string]any)
		if !ok {
			t.Fatalf("netsim model with liars: %s is %v", part, owned[part])
		}
		keysOf(t, part, reads, "n", "current", "stale", "denied", "unavailable", "captured", "forged_offered", "forged_accepted")
		if reads["n"] == 0.0 || reads["forged_offered"] == 0.0 || reads["forged_accepted"] != 0.0 {
			t.Errorf("netsim model with liars: %s: %v", part, reads)
		}
	}
	if out := s.ok("netsim", "model", "--peers", "12", "--positions", "2", "--duration", "8s", "--liars", "0.3"); !strings.Contains(out, "owned records offered, 0 accepted") {
		t.Errorf("netsim model with liars: %s", out)
	}
	s.doc(&doc, "netsim", "model", "--peers", "30", "--workload", "keys", "--keys", "50000", "--plain-chord")
	even, uneven := doc["load_max_over_mean"].(float64), doc["plain_chord"].(map[string]any)["load_max_over_mean"].(float64)
	if doc["keys"] != 50000.0 || even < 1 || even > 1.6 || uneven < even {
		t.Errorf("keys: load %v, in plain Chord %v: %v", even, uneven, doc)
	}
	for _, args := range [][]string{
		{"--peers", "0"},
		{"--positions", "65"},
		{"--successors", "0"},
		{"--kill", "1"},
		{"--loss", "-1"},
		{"--churn", "-1s"},
		{"--rings", "1"},
		{"--duration", "0s"},
		{"--regions", "0"},
		{"--region-delay", "-1s"},
		{"--plain-chord", "--schedules", "2"},
		{"--liars", "1"},
		{"--sybils", "7", "--peers", "6"},
		{"--keys", "0", "--workload", "keys"},
		{"--keys", "10"},
		{"--kill", "0.5", "--workload", "keys"},
		{"--rate", "0"},
		{"--workload", "chess"},
		{"--rough"},
		{"--schedules", "-1"},
	} {
		s.run(append([]string{"netsim", "model"}, args...)...).fails(client.CodeUsage, strings.TrimLeft(args[0], "-"))
	}
}

func TestNetsimHistories(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	var doc map[string]any
	s.doc(&doc, "netsim", "model", "--schedules", "3", "--seed", "7")
	keysOf(t, "netsim model", doc, "peers", "seed", "virtual_s", "violations", "heal_s", "wall_s", "rss_mib", "histories")
	if doc["violations"] != 0.0 || doc["virtual_s"].(float64) <= 0 {
		t.Errorf("netsim model: %v", doc)
	}
	trace := s.ok("netsim", "model", "--schedules", "1", "--seed", "7", "--trace")
	if again := s.ok("netsim", "model", "--schedules", "1", "--seed", "7", "--trace"); head(again) != head(trace) {
		t.Error("a seed gave two histories")
	}
	s.run("netsim", "model", "--trace", "--schedules", "2").fails(client.CodeUsage, "--trace")
	s.run("netsim", "model", "--schedules", "2", "--kill", "0.5").fails(client.CodeUsage, "--kill")
}

// head is what comes before the summary, which tells wall-clock times.
func head(out string) string {
	before, _, _ := strings.Cut(out, "\nhistories")
	return before
}
