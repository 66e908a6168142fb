package chord_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/netsim/model"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the transcripts in testdata; read the diff")

// TestTranscripts plays the scripts in testdata and compares what happens with
// what they say. A line "> command" is followed by what it leads to:
//
//	> config r=2 k=1 t=-1         before the first peer: successor peers, positions, size of the table
//	> create N | join N CONTACT | rejoin N REMEMBERED | leave N | crash N | hint N OTHER
//	> mute N | unmute N           nothing reaches N or leaves it
//	> slow N DURATION             messages to and from N take so much longer
//	> evidence on|off             whether lost connections are noticed
//	> find N OTHER                N looks up the first position of OTHER, to the end; only lookups are shown
//	> run DURATION                everything that happens
//	> skip DURATION               the same, unseen
//	> ring                        the lists of all members, and what they see
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := playScript(string(want))
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-file +happened):\n%s", diff)
			}
		})
	}
}

// script is a transcript being played.
type script struct {
	w     *model.World
	out   bytes.Buffer
	k     int
	muted map[int]bool
	slow  map[int]time.Duration
}

func playScript(text string) (string, error) {
	s := &script{k: 1, muted: map[int]bool{}, slow: map[int]time.Duration{}}
	s.world(chord.Config{})
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			fmt.Fprintln(&s.out, line)
		}
		if cmd, ok := strings.CutPrefix(line, "> "); ok {
			fmt.Fprintf(&s.out, "\n> %s\n", cmd)
			if err := s.do(strings.Fields(cmd)); err != nil {
				return "", fmt.Errorf("%s: %w", cmd, err)
			}
		}
	}
	return s.out.String(), nil
}

func (s *script) world(cfg chord.Config) {
	s.w = model.NewWorld(cfg, 1)
	s.w.Net.MinDelay, s.w.Net.MaxDelay = 10*time.Millisecond, 10*time.Millisecond
	s.w.Trace = &s.out
	s.w.Net.Latency = func(a, b *model.Peer) time.Duration { return s.slow[a.Number] + s.slow[b.Number] }
	s.w.Net.Side = func(p *model.Peer) int {
		if s.muted[p.Number] {
			return 1 + p.Number
		}
		return 0
	}
}

func (s *script) config(args []string) error {
	var cfg chord.Config
	fields := map[string]*int{"r": &cfg.SuccessorPeers, "k": &s.k, "t": &cfg.TableSize}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		field, ok := fields[name]
		if !ok {
			return fmt.Errorf("no setting %q", name)
		}
		var err error
		if *field, err = strconv.Atoi(value); err != nil {
			return err
		}
	}
	s.world(cfg)
	return nil
}

func (s *script) peer(word string) *model.Peer {
	var n int
	if _, err := fmt.Sscanf(word, "p%d", &n); err != nil {
		panic(err) // a script of our own
	}
	for len(s.w.Peers()) <= n {
		is := make([]uint32, s.k)
		for i := range is {
			is[i] = uint32(i)
		}
		s.w.Add(is)
	}
	return s.w.Peers()[n]
}

func (s *script) do(words []string) error {
	args := words[1:]
	switch words[0] {
	case "config":
		return s.config(args)
	case "create":
		s.w.Create(s.peer(args[0]))
	case "join":
		s.w.Join(s.peer(args[0]), s.peer(args[1]))
	case "rejoin":
		s.w.Rejoin(s.peer(args[0]), s.peer(args[1]))
	case "leave":
		s.w.Leave(s.peer(args[0]))
	case "crash":
		s.w.Crash(s.peer(args[0]))
	case "hint":
		s.w.Hint(s.peer(args[0]), s.peer(args[1]))
	case "mute", "unmute":
		s.muted[s.peer(args[0]).Number] = words[0] == "mute"
	case "slow":
		d, err := time.ParseDuration(args[1])
		s.slow[s.peer(args[0]).Number] = d
		return err
	case "find":
		return s.find(s.peer(args[0]), s.peer(args[1]))
	case "evidence":
		s.w.Net.Evidence = args[0] == "on"
	case "run", "skip":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		if words[0] == "skip" {
			s.w.Trace = nil
		}
		err = s.w.Run(d)
		s.w.Trace = &s.out
		return err
	case "ring":
		s.ring()
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

// find looks up a position and shows nothing but the messages of lookups.
func (s *script) find(p, other *model.Peer) error {
	var all bytes.Buffer
	s.w.Trace = &all
	ended := false
	s.w.OnLookup = func(*model.Peer, chord.LookupResult) { ended = true }
	s.w.Lookup(p, other.Record.Positions()[0])
	if ok, err := s.w.RunUntil(time.Minute, 10*time.Millisecond, func() bool { return ended }); err != nil || !ok {
		return fmt.Errorf("the lookup did not end: %w", err)
	}
	s.w.Trace, s.w.OnLookup = &s.out, nil
	own := regexp.MustCompile(fmt.Sprintf(`s  (%s -> .*, find |.*-> %s: reply.*, (found|nearer) |%s finds )`, p, p, p))
	for line := range strings.Lines(all.String()) {
		if own.MatchString(line) {
			s.out.WriteString(line)
		}
	}
	return nil
}

func (s *script) ring() {
	for _, p := range s.w.Members() {
		v := p.Ring.View()
		var sees []string
		for _, q := range v.Peers() {
			word := string(q.ID)
			if v.Suspect(q.ID) {
				word += "?"
			}
			sees = append(sees, word)
		}
		fmt.Fprintf(&s.out, "%s sees %s\n", p, strings.Join(sees, " "))
		for _, n := range p.Ring.Neighbours() {
			pred := "?"
			if n.Pred.Peer != "" {
				pred = fmt.Sprintf("%s.%d", n.Pred.Peer, n.Pred.Index)
			}
			fmt.Fprintf(&s.out, "    %s.%d: before it %s, after it", n.At.Peer, n.At.Index, pred)
			for _, x := range n.Successors {
				fmt.Fprintf(&s.out, " %s.%d", x.Peer, x.Index)
			}
			fmt.Fprintln(&s.out)
		}
	}
}
