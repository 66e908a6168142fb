package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"stauts"}, []string{`no command "stauts"`, "did you mean status?", "fix: peer --help"}},
		{[]string{"watch", "a", "--count", "-1"}, []string{"--count"}},
		{[]string{"job", "shw", "x"}, []string{`peer job has no command "shw"`, "did you mean show?"}},
		{[]string{"help", "stauts"}, []string{"did you mean status?"}},
		{[]string{"put", "k", "v", "--tll", "3s"}, []string{"peer put has no flag --tll", "did you mean --ttl?", "fix: peer put --help"}},
		{[]string{"submit", "x", "--certify"}, []string{"peer submit has no flag --certify"}},
		{[]string{"status", "-z"}, []string{"has no flag -z"}},
		{[]string{"put"}, []string{"usage: peer put KEY"}},
		{[]string{"put", "k"}, []string{"either a value or --file"}},
		{[]string{"put", "k", "v", "--file", "f"}, []string{"either a value or --file"}},
		{[]string{"put", "k", "v", "--ttl", "-1s"}, []string{"--ttl", "-1s"}},
		{[]string{"put", "k", "v", "--ttl", "soon"}, []string{`"soon" is not a duration`}},
		{[]string{"put", "k", "v", "--w", "al"}, []string{"--w", "did you mean all?"}},
		{[]string{"get", "k", "--length", "-1"}, []string{"--length must not be negative"}},
		{[]string{"get", "k", "--file", "f", "--offset", "1"}, []string{"--file takes the whole value"}},
		{[]string{"get", "a", "b"}, []string{"usage: peer get KEY"}},
		{[]string{"ls", "--timeout", "0s"}, []string{"--timeout"}},
		{[]string{"ls", "-o", "yaml"}, []string{"table, json"}},
		{[]string{"submit", "f", "--n", "0"}, []string{"--n must be"}},
		{[]string{"submit", "f", "--n", "x"}, []string{`"x" is not a whole number`}},
		{[]string{"demo", "-n", "2"}, []string{"-n must be from 3"}},
		{[]string{"bench", "kv", "--callers", "1,b"}, []string{"not a list of whole numbers"}},
		{[]string{"bench", "kv", "--callers", "0"}, []string{"--callers"}},
		{[]string{"bench", "kv", "--duration", "0s"}, []string{"--duration"}},
		{[]string{"bench", "lookup", "--peers", "1"}, []string{"--peers"}},
		{[]string{"bench", "lookup", "--n", "0"}, []string{"--n must be"}},
		{[]string{"bench", "lookup", "--positions", "65"}, []string{"--positions"}},
		{[]string{"trace"}, []string{"usage: peer trace KEY"}},
		{[]string{"completion", "fihs"}, []string{"did you mean fish?"}},
		{[]string{"init", "--open", "--ring", "a b"}, []string{"name"}},
		{[]string{"init", "--open", "--shards", "3"}, []string{"power of two"}},
		{[]string{"run", "--weight", "801"}, []string{"Weight: 801 is not within 1 to 800"}},
		{[]string{"run", "--weight", "half"}, []string{"--weight", `"half" is not a whole number`}},
	} {
		newShell(t).run(c.args...).fails(client.CodeUsage, c.want...)
	}
}

func TestErrorsAsJSON(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{
		{"get", "k", "-o", "json"},         // a command failed
		{"--bogus", "--output=json", "ls"}, // flags were not understood
		{"put", "-o", "json"},              // arguments were not
	} {
		r := s.run(args...)
		var doc struct {
			Error struct{ Code, Message, Fix string }
		}
		if err := json.Unmarshal([]byte(r.err), &doc); err != nil || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: want one line of JSON, got %q", r.line, r.err)
			continue
		}
		if r.out != "" || doc.Error.Code == "" || doc.Error.Message == "" || doc.Error.Fix == "" {
			t.Errorf("%s: stdout %q, stderr %q", r.line, r.out, r.err)
		}
		if want := client.ErrorCode(doc.Error.Code).Exit(); r.code != want {
			t.Errorf("%s: exit %d, want %d", r.line, r.code, want)
		}
	}
}

func TestNoPeer(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{
		{"status"},
		{"top"},
		{"ring"},
		{"ls"},
		{"get", "k"},
		{"put", "k", "v"},
		{"del", "k"},
		{"leave"},
		{"forget", "x"},
		{"ping", "x"},
		{"job", "ls"},
		{"job", "show", "x"},
		{"job", "get", "x"},
		{"job", "cancel", "x"},
		{"job", "logs", "x"},
		{"submit", "sha256"},
		{"bench", "kv"},
		{"bench", "lookup"},
		{"trace", "k"},
		{"watch", "k"},
		{"ns", "ls"},
	} {
		s.run(args...).fails(client.CodeNoPeer, s.home, "fix: peer run --home "+s.home)
	}
}

func TestFilesThatCannotServe(t *testing.T) {
	s := newShell(t)
	dir := t.TempDir()
	s.run("put", "k", "--file", filepath.Join(dir, "none")).fails(client.CodeNoFile, "none: no such file")
	s.run("submit", filepath.Join(dir, "none.wasm")).fails(client.CodeNoFile, "none.wasm")
	text := filepath.Join(dir, "text.wasm")
	writeTestFile(t, text, "not a module")
	s.run("submit", text).fails(client.CodeNotWasm, "text.wasm")
}

func TestInit(t *testing.T) {
	s := newShell(t)
	var doc map[string]any
	s.doc(&doc, "init", "--open", "--ring", "choir")
	keysOf(t, "init", doc, "home", "ring", "ring_id", "open", "shards", "replicas")
	if doc["ring"] != "choir" || doc["home"] != s.home {
		t.Errorf("init made %v", doc)
	}
	for _, file := range []string{"identity.key", "config.toml", "ring.json"} {
		info, err := os.Stat(filepath.Join(s.home, file))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	s.run("init", "--open").fails(client.CodeHomeExists, "choir")
	// The config file that init writes is one that all commands read.
	s.ok("config", "show")
}

func TestHomesThatCannotServe(t *testing.T) {
	s := newShell(t)
	s.run("run").fails(client.CodeNoRing, "--join")
	s.run("run", "--join", "127.0.0.1:4747").fails(client.CodeBadAddress, "/p2p/")
	s.run("run", "--home", "/dev/null/x").fails(client.CodeInternal, "not a directory")
	s.run("init", "--open", "--home", "/sys/chorus").fails(client.CodeDiskReadOnly)

	s.ok("init", "--open")
	ring := filepath.Join(s.home, "ring.json")
	good, err := os.ReadFile(ring)
	if err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, ring, "{")
	s.run("run").fails(client.CodeBadHome, "ring.json")
	writeTestFile(t, ring, `{"format": 99}`)
	s.run("run").fails(client.CodeNotAvailable, "format 99", "fix: use the version")
	writeTestFile(t, ring, string(good))
	if err := os.Chmod(filepath.Join(s.home, "identity.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run("run").fails(client.CodeBadIdentity, "fix: chmod 600")
}

func TestVersionAndCompletion(t *testing.T) {
	s := newShell(t)
	// Neither needs settings that can be read.
	if err := os.Mkdir(s.home, 0o700); err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, filepath.Join(s.home, "config.toml"), "[broken")
	var doc map[string]any
	s.doc(&doc, "version")
	keysOf(t, "version", doc, "version", "go", "os", "arch")
	for shell, want := range map[string]string{
		"bash": "__start_peer", "zsh": "#compdef peer", "fish": "complete -c peer", "powershell": "Register-ArgumentCompleter",
	} {
		if out := s.ok("completion", shell); !strings.Contains(out, want) {
			t.Errorf("completion %s lacks %q", shell, want)
		}
	}
	if out := s.ok("__complete", "job", "s"); !strings.Contains(out, "show") {
		t.Errorf("completion of job s: %q", out)
	}
}

// TestHelpIsComplete asks each command for help: all must describe themselves.
func TestHelpIsComplete(t *testing.T) {
	s := newShell(t)
	for _, path := range []string{
		"", "demo", "init", "run", "leave", "forget", "put", "get", "del", "ls", "submit", "job", "job ls", "job show", "job logs",
		"job cancel", "job get", "job timeline", "status", "top", "ring", "ping", "trace", "bench", "bench kv", "bench lookup", "bench uts", "netsim", "config", "config show", "version", "completion",
	} {
		out := s.ok(append(strings.Fields(path), "--help")...)
		if !strings.Contains(out, "Usage:") || len(strings.Split(out, "\n")[0]) < 20 {
			t.Errorf("peer %s --help: %q", path, out)
		}
	}
}

func writeTestFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFull makes a home on a disk that has no room for it.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4k", "chorus-test", disk).CombinedOutput(); err != nil {
		meet(client.CodeDiskFull) // as far as this system allows
		t.Skipf("cannot make a small disk: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v %s", err, out)
		}
	})
	writeTestFile(t, filepath.Join(disk, "filler"), strings.Repeat("x", 4096))
	s := newShell(t)
	s.run("init", "--open", "--home", filepath.Join(disk, "home")).fails(client.CodeDiskFull)
}
