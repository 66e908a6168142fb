package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/overlay/client"
)

// TestRingOfOne drives one peer through everything that needs no other.
func TestRingOfOne(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.ok("init", "--open")
	p := s.start("--name", "solo")

	t.Run("keys", func(t *testing.T) { testKeys(t, s) })
	t.Run("bad keys", func(t *testing.T) { testBadKeys(t, s) })
	t.Run("documents", func(t *testing.T) { testDocuments(t, s) })
	t.Run("jobs", func(t *testing.T) { testJobs(t, s) })
	t.Run("each", func(t *testing.T) { testEach(t, s) })
	t.Run("bad jobs", func(t *testing.T) { testBadJobs(t, s) })
	t.Run("conflicts", func(t *testing.T) { testConflicts(t, p) })

	s.run("leave").fails(client.CodeLastPeer)
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, p.logs())
	}
	s.run("status").fails(client.CodeNoPeer)

	// Stopping is not leaving.
	s.start()
	if got := s.ok("get", "kept"); got != "here" {
		t.Errorf("after a restart: %q", got)
	}
}

func testKeys(t *testing.T, s *shell) {
	s.ok("put", "kept", "here")
	if got := s.ok("get", "kept"); got != "here" {
		t.Errorf("get: %q", got)
	}
	binary := "\x00\xff\n"
	s.in = binary
	s.ok("put", "piped", "-")
	if got := s.ok("get", "piped"); got != binary {
		t.Errorf("get of a piped value: %q", got)
	}
	file := filepath.Join(t.TempDir(), "f")
	writeTestFile(t, file, strings.Repeat("x", 512<<10))
	s.ok("put", "a/large", "--file", file)
	if got := s.ok("get", "a/large"); len(got) != 512<<10 {
		t.Errorf("get of the largest value: %d bytes", len(got))
	}
	if diff := cmp.Diff("a/large\nkept\npiped\n", s.ok("ls")); diff != "" {
		t.Errorf("ls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(`{"key":"a/large"}`+"\n", s.ok("ls", "a/", "-o", "json")); diff != "" {
		t.Errorf("ls a/ -o json (-want +got):\n%s", diff)
	}
	s.ok("del", "piped")
	s.run("get", "piped").fails(client.CodeNotFound, "piped")
	s.ok("put", "brief", "v", "--ttl", "300ms")
	eventually(t, 5*time.Second, func() bool { return s.run("get", "brief").code == 4 }, func() string { return "a key outlived its time" })
}

func testBadKeys(t *testing.T, s *shell) {
	s.run("put", strings.Repeat("k", 1025), "v").fails(client.CodeKeyTooLong, "1025", "1024")
	s.run("get", strings.Repeat("k", 1025)).fails(client.CodeKeyTooLong)
	s.run("put", "", "v").fails(client.CodeBadKey, "empty")
	s.run("put", "\xff", "v").fails(client.CodeBadKey, "UTF-8")
	s.run("put", "k", "v", "--timeout", "1ns").fails(client.CodeTimeout, "--timeout")
	s.run("ping", "nobody").fails(client.CodeNotFound, "nobody")
	s.run("trace", strings.Repeat("k", 1025)).fails(client.CodeKeyTooLong)
	s.run("trace", "").fails(client.CodeBadKey, "empty")
}

func testDocuments(t *testing.T, s *shell) {
	var doc map[string]any
	s.doc(&doc, "put", "kept", "here")
	keysOf(t, "put", doc, "key", "version", "acks", "hints", "w", "n", "epoch")
	if _, ok := doc["hints"].([]any); !ok || doc["w"] != 1.0 || doc["n"] != 1.0 {
		t.Errorf("receipt of a ring of one: %v", doc)
	}
	acks, _ := doc["acks"].([]any)
	if len(acks) != 1 || acks[0].(map[string]any)["synced"] != true {
		t.Errorf("acks %v", doc["acks"])
	}
	s.doc(&doc, "get", "kept")
	keysOf(t, "get", doc, "key", "value", "version", "replies")
	if doc["value"] != base64.StdEncoding.EncodeToString([]byte("here")) {
		t.Errorf("value %v", doc["value"])
	}
	s.doc(&doc, "status")
	keysOf(t, "status", doc, "id", "uptime_s", "peers", "keys", "under_replicated", "agree", "of", "tasks")
	keysOf(t, "tasks", doc["tasks"].(map[string]any), "queued", "running", "done", "stolen_in", "stolen_out")
	id := doc["id"].(string)
	s.doc(&doc, "ring")
	keysOf(t, "ring", doc, "peers", "agree", "of")
	peer := doc["peers"].([]any)[0].(map[string]any)
	keysOf(t, "peer", peer, "id", "positions", "owns", "addrs", "incarnation")
	if peer["owns"].(float64) < 0.999 || peer["id"] != id {
		t.Errorf("the one peer of its ring: %v", peer)
	}
	for command, words := range map[string][]string{
		"status": {"solo", id, "ring", "1 of 1 agree", "sha256"},
		"ring":   {"PEER", "solo", "100.0%", "1 of 1 agree"},
	} {
		out := s.ok(command)
		for _, word := range words {
			if !strings.Contains(out, word) {
				t.Errorf("%s lacks %q:\n%s", command, word, out)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s writes escapes into a pipe", command)
		}
	}
}

func testJobs(t *testing.T, s *shell) {
	var job client.Job
	s.doc(&job, "submit", "primes", "--input", "1{i}", "--n", "3")
	if job.Tasks != 3 || job.Done != 3 || len(job.Results) != 3 || job.ID == "" {
		t.Fatalf("submit: %+v", job)
	}
	for i, want := range []string{"4", "5", "5"} { // primes up to 10, 11, 12
		if got := string(job.Results[i].Output); got != want || job.Results[i].Peer == "" || job.Results[i].Attempts < 1 {
			t.Errorf("task %d: %+v, want output %s", i, job.Results[i], want)
		}
	}
	if out := s.ok("submit", "sha256", "--input", "abc"); !strings.Contains(out, "ba7816bf") {
		t.Errorf("submit: %s", out)
	}
	text := filepath.Join(t.TempDir(), "text")
	writeTestFile(t, text, "a b a")
	if out := s.ok("submit", "wordcount", "--input", text, "-o", "json"); !strings.Contains(out, base64.StdEncoding.EncodeToString([]byte("a 2\nb 1\n"))) {
		t.Errorf("submit with a file: %s", out)
	}
	s.in = "piped"
	id := strings.TrimSpace(s.ok("submit", "echo", "--input", "-", "--wait=false", "-q"))
	if out := s.ok("job", "get", id); out != "piped" {
		t.Errorf("job get: %q", out)
	}
	var shown map[string]any
	s.doc(&shown, "job", "show", id)
	keysOf(t, "job show", shown, "job", "state", "tasks", "done", "failed")
	if out := s.ok("job", "ls"); !strings.Contains(out, id) || !strings.Contains(out, job.ID) {
		t.Errorf("job ls:\n%s", out)
	}
	if out := s.ok("job", "show", job.ID); !strings.Contains(out, "3 done") || strings.Count(out, "ok at ") != 3 {
		t.Errorf("job show:\n%s", out)
	}
	if out := s.ok("job", "get", job.ID, "--task", "1"); out != "5" {
		t.Errorf("job get --task 1: %q", out)
	}
	s.run("job", "get", job.ID, "--task", "7").fails(client.CodeNotFound, "0 to 2")
	s.run("job", "get", job.ID, "--task", "-7").fails(client.CodeUsage, "--task", "-7")
}

func testEach(t *testing.T, s *shell) {
	for _, key := range []string{"each/b", "each/a", "eachother"} {
		s.ok("put", key, "x")
	}
	var job client.Job
	s.doc(&job, "submit", "echo", "--each", "each/")
	if job.Tasks != 2 || job.Near != 2 || string(job.Results[0].Output)+string(job.Results[1].Output) != "each/aeach/b" {
		t.Errorf("submit --each: %+v", job)
	}
	if out := s.ok("job", "show", job.ID); !strings.Contains(out, "2 of 2 tasks ran where their key is kept") {
		t.Errorf("job show:\n%s", out)
	}
	var submitted struct{ Tasks int }
	s.doc(&submitted, "submit", "echo", "--each", "each", "--wait=false")
	if submitted.Tasks != 3 {
		t.Errorf("submit --each --wait=false: %+v", submitted)
	}
	s.run("submit", "echo", "--each", "none/").fails(client.CodeNotFound, "none/")
	s.run("submit", "echo", "--each", "each/", "--n", "2").fails(client.CodeUsage, "--each")
	for _, key := range []string{"each/b", "each/a", "eachother"} {
		s.ok("del", key)
	}
}

func testBadJobs(t *testing.T, s *shell) {
	s.run("job", "show", strings.Repeat("0", 32)).fails(client.CodeNotFound, "fix: peer job ls")
	s.run("job", "show", "xyz").fails(client.CodeUsage)
	s.run("submit", "sha265", "--input", "x").fails(client.CodeUnknownFunction, "did you mean sha256", "--wait=false")
	r := s.run("submit", "primes", "--input", "many", "-o", "json")
	meet(client.CodeTaskFailed)
	var job client.Job
	if err := json.Unmarshal([]byte(r.out), &job); err != nil || r.code != 1 || job.Failed != 1 || !strings.Contains(r.err, `"code":"task-failed"`) {
		t.Errorf("a task that fails: exit %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	if out := s.ok("job", "logs", job.ID); !strings.Contains(out, "want a number") {
		t.Errorf("job logs:\n%s", out)
	}
	twice := strings.TrimSpace(s.ok("submit", "primes", "--input", "many", "--retries", "1", "--wait=false", "-q"))
	s.run("job", "get", twice).fails(client.CodeTaskFailed)
	if out := s.ok("job", "show", twice); strings.Count(out, "error at ") != 2 || strings.Count(out, "want a number") != 2 {
		t.Errorf("job show after a retry:\n%s", out)
	}
	s.run("submit", "sleep", "--input", "1h", "--n", "2", "--deadline", "300ms").fails(client.CodeDeadline, "0 of 2 tasks done", "300ms after it was submitted")
	few := strings.TrimSpace(s.ok("submit", "echo", "--input", "x", "--verify", "2", "--wait=false", "-q"))
	eventually(t, time.Minute, func() bool {
		return strings.Contains(s.ok("job", "show", few), "each task is for 2 different peers, and 1 known here")
	}, func() string { return s.ok("job", "show", few) })
	s.ok("job", "cancel", few)
	s.run("submit", "echo", "--verify", "10").fails(client.CodeUsage, "up to 9")
	s.run("submit", "sleep", "--input", "1h", "--priority", "10").fails(client.CodeUsage, "-9 to 9")
	s.run("submit", "primes", "--input", "1", "--retries", "9").fails(client.CodeUsage, "9 retries", "up to 8")
	s.run("submit", "sleep", "--input", "1h", "--deadline", "-1s").fails(client.CodeUsage)
	later := strings.TrimSpace(s.ok("submit", "later", "--wait=false", "-q"))
	s.run("job", "get", later, "--timeout", "3s").fails(client.CodeTimeout, later) // for longer than submit waits for a peer that can
	var waits client.Job
	if s.doc(&waits, "job", "show", later); waits.State != "waiting" || waits.Why == "" {
		t.Errorf("after job get the job is %q: %s", waits.State, waits.Why)
	}
	s.ok("job", "cancel", later)
	slow := s.submitSlow()
	s.run("leave").fails(client.CodeJobsOpen, slow, "--force")
	s.run("leave", "--force").fails(client.CodeLastPeer) // it would go, if there were others
	s.run("job", "get", slow, "--timeout", "200ms").fails(client.CodeTimeout, slow)
	s.during(interrupt, "job", "get", slow).fails(client.CodeInterrupted)
	s.ok("job", "cancel", slow)
	s.run("job", "get", slow).fails(client.CodeJobCancelled, slow)
	s.ok("submit", "sleep", "--input", "1h", "--n", "65536", "--wait=false", "-q")
	s.ok("submit", "sleep", "--input", "1h", "--n", "65536", "--wait=false", "-q")
	s.run("submit", "sleep", "--input", "1h", "--n", "65536", "--wait=false").fails(client.CodeOverloaded)
	var jobs []client.Job
	s.doc(&jobs, "job", "ls")
	for _, j := range jobs {
		if !j.Ended() {
			s.ok("job", "cancel", j.ID)
		}
	}
}

// submitSlow submits a task that takes an hour and returns the job.
func (s *shell) submitSlow() string {
	s.t.Helper()
	return strings.TrimSpace(s.ok("submit", "sleep", "--input", "1h", "--limit", "2h", "--wait=false", "-q"))
}

func testConflicts(t *testing.T, p *process) {
	p.run("run").fails(client.CodeHomeLocked, p.home)
	p.run("init", "--open").fails(client.CodeHomeLocked, p.home)

	other := newShell(t)
	other.run("run", "--ring", "other", "--join", p.addr).fails(client.CodeWrongRing, "other")
	other.run("run").fails(client.CodeNoRing) // the home was not given to the ring that was refused
	dead := strings.Replace(p.addr, portOf(p.addr), freePort(t), 1)
	start := time.Now()
	newShell(t).run("run", "--join", dead, "--timeout", "1s").fails(client.CodeNoAnswer, dead)
	if took := time.Since(start); took > time.Minute {
		t.Errorf("nobody answers: noticed after %v", took)
	}
	taken := newShell(t)
	taken.ok("init", "--open")
	taken.run("run", "--listen", "/ip4/127.0.0.1/tcp/"+portOf(p.addr)).fails(client.CodePortInUse, portOf(p.addr), "fix: ")
}

// portOf returns the TCP port of a multiaddr.
func portOf(addr string) string {
	_, rest, _ := strings.Cut(addr, "/tcp/")
	port, _, _ := strings.Cut(rest, "/")
	return port
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// TestWalkThrough is the one of the README: three peers, a fourth that joins,
// one killed and started again, one that leaves.
func TestWalkThrough(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	peers := startPeers(t, "ada", "bob", "cyd")
	ada, bob, cyd := peers[0], peers[1], peers[2]
	var receipt client.Receipt
	eventually(t, 30*time.Second, func() bool {
		ada.doc(&receipt, "put", "greeting", "hello")
		return receipt.N == 3 && receipt.W == 2
	}, func() string { return fmt.Sprintf("three peers, but a receipt says %+v", receipt) })
	for i := range 20 {
		ada.ok("put", fmt.Sprintf("many/%02d", i), fmt.Sprint(i))
	}
	if got := cyd.ok("get", "greeting"); got != "hello" {
		t.Errorf("read at another peer: %q", got)
	}
	testPing(t, bob, cyd)
	testTrace(t, bob)
	testSpread(t, ada, 3)

	dot := (&shell{t: t, home: filepath.Join(filepath.Dir(ada.home), "dot")}).start("--name", "dot", "--join", ada.addr)
	agreed(t, append(peers, dot))

	bob.signal(syscall.SIGKILL)
	for i := range 20 {
		if got := cyd.ok("get", fmt.Sprintf("many/%02d", i)); got != fmt.Sprint(i) {
			t.Errorf("key %d after a kill: %q", i, got)
		}
	}
	ada.ok("put", "greeting", "hello again")
	bob = bob.start("--name", "bob")
	agreed(t, []*process{ada, bob, cyd, dot})
	if got := bob.ok("get", "greeting"); got != "hello again" {
		t.Errorf("the restarted peer reads %q", got)
	}

	dot.ok("leave")
	if code := dot.wait(); code != 0 {
		t.Errorf("a peer that left: exit %d\n%s", code, dot.logs())
	}
	agreed(t, []*process{ada, bob, cyd})
	if got := strings.Count(ada.ok("ls", "many/"), "\n"); got != 20 {
		t.Errorf("%d keys after a leave, want 20", got)
	}
	testQuorumLost(t, ada, bob, cyd)
}

// testSpread submits work at one peer: it must run on several.
func testSpread(t *testing.T, p *process, peers int) {
	var job client.Job
	eventually(t, 30*time.Second, func() bool {
		p.doc(&job, "submit", "sleep", "--input", "20ms", "--n", "100")
		return len(job.ByPeer) == peers
	}, func() string { return fmt.Sprintf("tasks ran on %v", job.ByPeer) })
	if job.Done != 100 {
		t.Errorf("%d of 100 tasks done", job.Done)
	}
}

// testQuorumLost kills all peers but the first: nothing is acknowledged, and
// nothing hangs.
func testQuorumLost(t *testing.T, alone *process, others ...*process) {
	slow := alone.submitSlow()
	for _, p := range others {
		p.signal(syscall.SIGKILL)
	}
	alone.run("put", "greeting", "never", "--timeout", "20s").fails(client.CodeQuorumLost, "fix: ")
	alone.run("get", "greeting", "--timeout", "20s").fails(client.CodeQuorumLost)
	if got := alone.ok("get", "greeting", "--r", "one"); got != "hello again" && got != "never" {
		t.Errorf("a read of one replica: %q", got)
	}
	// A call that waits when its peer stops is told so.
	alone.during(func(*exec.Cmd) { _ = alone.cmd.Process.Signal(syscall.SIGTERM) }, "job", "get", slow).fails(client.CodeClosed)
	if code := alone.wait(); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, alone.logs())
	}
}

func TestBenchKV(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a ring")
	}
	var doc map[string]any
	newShell(t).doc(&doc, "bench", "kv", "--peers", "3", "--callers", "1,4", "--duration", "100ms")
	keysOf(t, "bench kv", doc, "peers", "value_bytes", "put", "get", "duration_s", "w", "r")
	for _, op := range []string{"put", "get"} {
		by := doc[op].(map[string]any)
		keysOf(t, op, by, "1", "4")
		figures := by["4"].(map[string]any)
		keysOf(t, op, figures, "p50_us", "p99_us", "ops_s", "rpcs")
		if figures["ops_s"].(float64) <= 0 || figures["failed"].(float64) > 0 {
			t.Errorf("%s: %v", op, figures)
		}
	}
}

func TestBenchCall(t *testing.T) {
	t.Parallel()
	var doc map[string]map[string]map[string]any
	s := newShell(t)
	out := s.ok("bench", "call", "--transports", "tcp", "--callers", "1", "--rounds", "1", "--duration", "50ms", "-o", "json")
	var whole map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &whole); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"tcp":`+string(whole["tcp"])+`}`), &doc); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	keysOf(t, "tcp", doc["tcp"]["1"], "p50_us", "p99_us", "ops_s", "echo", "p50_ratio")
	s.run("bench", "call", "--transports", "udp").fails(client.CodeUsage, "udp")
}

func TestNetsimCluster(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a ring")
	}
	s := newShell(t)
	var doc map[string]any
	s.doc(&doc, "netsim", "cluster", "--peers", "4", "--latency", "2ms", "--loss", "0.01", "--duration", "2s", "--split", "500ms")
	keysOf(t, "netsim cluster", doc, "peers", "latency_ms", "loss", "split_s", "duration_s", "seed", "puts", "gets", "heal_s", "lost", "stale", "wall_s", "rss_mib")
	if doc["puts"].(float64) <= 0 || doc["gets"].(float64) <= 0 || doc["heal_s"].(float64) <= 0 {
		t.Errorf("netsim cluster: %v", doc)
	}
	s.run("netsim", "cluster", "--split", "8s").fails(client.CodeUsage, "--split")
}
