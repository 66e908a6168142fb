package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chorus-peer-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "peer")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build peer: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if everything := flag.Lookup("test.run").Value.String() == "" && !testing.Short(); everything && code == 0 {
		code = unmetCodes()
	}
	return code
}

// met are the error codes that the tests saw.
var met = struct {
	sync.Mutex
	codes map[client.ErrorCode]bool
}{codes: make(map[client.ErrorCode]bool)}

func meet(code client.ErrorCode) {
	met.Lock()
	defer met.Unlock()
	met.codes[code] = true
}

// unmetCodes fails the run if a documented code was never seen: such a code is
// either dead or untested.
func unmetCodes() int {
	met.Lock()
	defer met.Unlock()
	status := 0
	for _, code := range client.ErrorCodes() {
		if !met.codes[code] {
			fmt.Fprintf(os.Stderr, "no test met error code %s\n", code)
			status = 1
		}
	}
	return status
}

// shell runs commands the way a person does, with one home.
type shell struct {
	t      *testing.T
	home   string
	env    []string // NAME=VALUE
	in     string   // standard input
	binary string   // another program than the one under test
	netns  string   // the network namespace that the program runs in, if not this one
	said   *said    // what commands print is kept there, if not nil
}

// said is what commands printed, but for the tokens that peer invite did.
type said struct {
	text   bytes.Buffer
	tokens []string
}

// newShell returns a shell whose home does not exist yet.
func newShell(t *testing.T) *shell {
	return &shell{t: t, home: filepath.Join(t.TempDir(), "home")}
}

// result is what a command left.
type result struct {
	t        *testing.T
	line     string // the command
	out, err string
	code     int
}

func (s *shell) command(args ...string) *exec.Cmd {
	args = append([]string{cmp.Or(s.binary, binary)}, args...)
	if s.netns != "" {
		args = append([]string{"ip", "netns", "exec", s.netns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append([]string{"PEER_HOME=" + s.home, "HOME=" + filepath.Dir(s.home), "TMPDIR=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}, s.env...)
	cmd.Stdin = strings.NewReader(s.in)
	return cmd
}

// run runs a command to its end.
func (s *shell) run(args ...string) result {
	s.t.Helper()
	var out, stderr bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("peer %s: %v", strings.Join(args, " "), err)
	}
	if s.said != nil {
		s.said.text.Write(stderr.Bytes())
		if args[0] == "invite" && out.Len() > 0 {
			s.said.tokens = append(s.said.tokens, strings.TrimSpace(out.String()))
		} else {
			s.said.text.Write(out.Bytes())
		}
	}
	return result{t: s.t, line: "peer " + strings.Join(args, " "), out: out.String(), err: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// ok runs a command that must succeed and returns what it printed.
func (s *shell) ok(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("%s: exit %d\n%s%s", r.line, r.code, r.out, r.err)
	}
	return r.out
}

// doc runs a command that must succeed with JSON and reads that.
func (s *shell) doc(v any, args ...string) {
	s.t.Helper()
	out := s.ok(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		s.t.Fatalf("peer %s: %v in %q", strings.Join(args, " "), err, out)
	}
}

var errorLine = regexp.MustCompile(`(?m)^error ([a-z-]+): (.+)$`)

// fails checks that the command failed with the code, its exit status, and a
// message that holds each of the words.
func (r result) fails(code client.ErrorCode, words ...string) {
	r.t.Helper()
	meet(code)
	found := errorLine.FindStringSubmatch(r.err)
	if found == nil || found[1] != string(code) {
		r.t.Errorf("%s: want error %s, got exit %d and\n%s", r.line, code, r.code, r.err)
		return
	}
	if r.code != code.Exit() {
		r.t.Errorf("%s: error %s has exit status %d, want %d", r.line, code, r.code, code.Exit())
	}
	for _, word := range words {
		if !strings.Contains(r.err, word) {
			r.t.Errorf("%s: %q is missing from\n%s", r.line, word, r.err)
		}
	}
}

// keysOf checks that a JSON object has each of the keys.
func keysOf(t *testing.T, what string, doc map[string]any, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := doc[key]; !ok {
			t.Errorf("%s lacks %q, has %v", what, key, slices.Sorted(maps.Keys(doc)))
		}
	}
}
