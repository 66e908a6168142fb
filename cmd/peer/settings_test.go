package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/overlay/client"
)

// withConfig returns a shell whose home has the config file.
func withConfig(t *testing.T, content string) *shell {
	t.Helper()
	s := newShell(t)
	if err := os.Mkdir(s.home, 0o700); err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, filepath.Join(s.home, configName), content)
	return s
}

// settingOf returns the value and origin of a key, as config show tells them.
func (s *shell) settingOf(key string, flags ...string) (value, origin string) {
	s.t.Helper()
	var docs []settingDoc
	s.doc(&docs, append(flags, "config", "show", "--origin")...)
	for _, d := range docs {
		if d.Key == key {
			return d.Value, d.Origin
		}
	}
	s.t.Fatalf("no setting %s", key)
	return "", ""
}

func TestPrecedence(t *testing.T) {
	s := newShell(t)
	expect := func(wantValue, wantOrigin string, flags ...string) {
		t.Helper()
		value, origin := s.settingOf("timeout", flags...)
		if value != wantValue || origin != wantOrigin {
			t.Errorf("timeout is %s by %s, want %s by %s", value, origin, wantValue, wantOrigin)
		}
	}
	expect("30s", "default")
	if err := os.Mkdir(s.home, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.home, configName)
	writeTestFile(t, file, "\ntimeout = '7s'\n")
	expect("7s", "file "+file+":2")
	s.env = append(s.env, "PEER_TIMEOUT=8s")
	expect("8s", "env PEER_TIMEOUT")
	expect("9s", "flag", "--timeout", "9s")
}

func TestEveryFlagHasTwins(t *testing.T) {
	var docs []settingDoc
	newShell(t).doc(&docs, "config", "show", "--origin")
	if len(docs) < 20 {
		t.Fatalf("%d settings", len(docs))
	}
	for _, d := range docs {
		want := "PEER_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(d.Key))
		if d.Env != want {
			t.Errorf("%s has variable %s, want %s", d.Key, d.Env, want)
		}
	}
}

func TestConfigFileKinds(t *testing.T) {
	s := withConfig(t, `
quiet = true
bench = { kv = { peers = 3, "value-bytes" = 7 } }
del.w = "all"
[run]
listen = ["/ip4/127.0.0.1/tcp/1", '/ip4/127.0.0.1/tcp/2']
workers = 3
[put]
ttl = "1m"
`)
	got := make(map[string]string)
	for _, key := range []string{"quiet", "del.w", "run.listen", "run.workers", "put.ttl", "bench.kv.peers", "bench.kv.value-bytes"} {
		value, origin := s.settingOf(key)
		if !strings.HasPrefix(origin, "file ") {
			t.Errorf("%s is set by %s", key, origin)
		}
		got[key] = value
	}
	want := map[string]string{
		"quiet": "true", "del.w": "all", "run.listen": "/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2",
		"run.workers": "3", "put.ttl": "1m0s", "bench.kv.peers": "3", "bench.kv.value-bytes": "7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	s.env = []string{"PEER_BENCH_KV_CALLERS=1,2"}
	if value, _ := s.settingOf("bench.kv.callers"); value != "1,2" {
		t.Errorf("a list of numbers from the environment: %s", value)
	}
	s.env = []string{"PEER_RUN_LISTEN=/ip4/127.0.0.1/tcp/3,/ip4/127.0.0.1/tcp/4"}
	if value, _ := s.settingOf("run.listen"); value != "/ip4/127.0.0.1/tcp/3,/ip4/127.0.0.1/tcp/4" {
		t.Errorf("a list from the environment: %s", value)
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []struct {
		content string
		line    int
		want    []string
	}{
		{"timeout = '1s'\ntimeuot = '1s'\n", 2, []string{`unknown key "timeuot"`, "did you mean timeout?"}},
		{"[run]\nname = 'ada'\nlisen = []\n", 3, []string{`unknown key "run.lisen"`, "did you mean run.listen?"}},
		{"\n\n[rnu]\nname = 'ada'\n", 3, []string{`unknown key "rnu"`, "did you mean run?"}},
		{"[run]\nworkers = 'many'\n", 2, []string{`key "run.workers"`, `"many" is not a whole number`}},
		{"[run]\nengine = 'bagder'\n", 2, []string{`key "run.engine"`, "did you mean badger?"}},
		{"timeout = 30\n", 1, []string{`key "timeout"`, "not a duration"}},
		{"timeout = ['1s']\n", 1, []string{`key "timeout"`, "one value"}},
		{"run = 3\n", 1, []string{`unknown key "run"`}},
		{"[timeout]\nx = 1\n", 1, []string{`key "timeout"`, "not a table"}},
		{"home = '/tmp'\n", 1, []string{`key "home"`, "--home"}},
		{"timeout = '1s'\n[run\nname = 'x'\n", 2, []string{"column"}},
		{"timeout = '1s'\ntimeout = '2s'\n", 2, []string{"timeout"}},
	} {
		s := withConfig(t, c.content)
		where := fmt.Sprintf("%s:%d: ", filepath.Join(s.home, configName), c.line)
		s.run("ls").fails(client.CodeBadConfig, append(c.want, where, "fix: ")...)
	}
}

func TestBadEnvironment(t *testing.T) {
	s := newShell(t)
	s.env = []string{"PEER_TIMEOUT=soon"}
	s.run("ls").fails(client.CodeBadConfig, "PEER_TIMEOUT", `"soon" is not a duration`, "fix: unset PEER_TIMEOUT")
	// Only the names of flags are ours.
	s.env = []string{"PEER_SERVICE_HOST=10.0.0.1", "PEER_OUTPUT=json"}
	if r := s.run("ls"); !strings.HasPrefix(r.err, `{"error":{"code":"no-peer"`) {
		t.Errorf("PEER_OUTPUT=json: %s", r.err)
	}
}

func TestUnreadableConfig(t *testing.T) {
	s := newShell(t)
	if err := os.MkdirAll(filepath.Join(s.home, configName), 0o700); err != nil {
		t.Fatal(err)
	}
	s.run("ls").fails(client.CodeBadConfig, "is a directory")
}

func TestSuggestions(t *testing.T) {
	words := []string{"status", "submit", "start"}
	for in, want := range map[string]string{
		"stauts": "status", "sub": "submit", "strat": "start", "xyzzy": "", "": "",
	} {
		got := didYouMean(in, words)
		if want != "" {
			want = ", did you mean " + want + "?"
		}
		if got != want {
			t.Errorf("didYouMean(%q) = %q, want %q", in, got, want)
		}
	}
}
