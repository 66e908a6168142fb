package compute

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the transcripts in testdata with what the code does")

// TestTranscripts plays the files of testdata: blocks of commands, a line of
// dashes, and what they answer. Lines that begin with # are remarks. The
// commands are explained at stage.do.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := replay(string(text), newStage().do)
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s differs; run with -rewrite and read the diff. It answers:\n%s", file, got)
			}
		})
	}
}

// replay returns the transcript with the answers replaced by those of run.
func replay(text string, run func(string) (string, error)) (string, error) {
	var out []string
	for n, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		out = append(out, commands)
		var answer strings.Builder
		for line := range strings.Lines(commands) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			s, err := run(line)
			if err != nil {
				return "", fmt.Errorf("block %d: %s: %w", n+1, line, err)
			}
			if s != "" {
				answer.WriteString("\n" + strings.TrimRight(s, "\n"))
			}
		}
		if answer.Len() > 0 {
			out[len(out)-1] += "\n----" + answer.String()
		}
	}
	return strings.Join(out, "\n\n") + "\n", nil
}

// stage is a few schedulers and the messages between them, moved by hand.
type stage struct {
	now     time.Time
	begin   time.Time
	actors  map[chord.PeerID]*actor
	order   []chord.PeerID
	pending []Message
	names   map[ID]string // of tasks: their index, with the job's letter from the second job on
	jobs    []ID
	out     strings.Builder
}

type actor struct {
	id     chord.PeerID
	s      *Scheduler
	cfg    Config
	runs   map[string]Task
	frozen bool
}

func newStage() *stage {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return &stage{now: begin, begin: begin, actors: make(map[chord.PeerID]*actor), names: make(map[ID]string)}
}

// do runs one command:
//
//	peer a [slots=2] [funcs=f/v1,g/v1] [errors=2] [crashes=2] [queue=10] [bytes=1000]   starts a peer
//	meet                         all peers know all others, as lifelines
//	meet c b                     c knows b alone
//	submit a 4 [f/v1] [size=100] [priority=1] [retries=2] [deadline=5s]
//	deliver [from=a] [to=b] [kind=give] [keep]   passes on what matches, and what comes of it; keep leaves a copy
//	drop [from=a] [to=b] [kind=give]
//	pending                      what is under way
//	ran a 3 [ok|crash|ERROR] [fork=2]   task 3 ends at a, or is divided into 3/1a, 3/1b by attempt 1
//	tick 2s                      time passes; messages stay where they are
//	down a b                     a hears that b is gone
//	crash b, restart b, freeze b, thaw b, drain b
//	funcs b f/v1,g/v1            b has these functions from now on
//	cancel a, job a, tasks a     of the first job
//	stats a
func (g *stage) do(line string) (string, error) {
	g.out.Reset()
	words := strings.Fields(line)
	var args []string
	opts := make(map[string]string)
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			opts[k] = v
		} else {
			args = append(args, w)
		}
	}
	err := g.command(words[0], args, opts)
	for _, id := range g.order {
		if a := g.actors[id]; a.s != nil && err == nil {
			if e := a.s.check(); e != nil {
				err = fmt.Errorf("%s: %w", id, e)
			}
		}
	}
	return g.out.String(), err
}

func (g *stage) command(verb string, args []string, opts map[string]string) error {
	var a *actor
	if len(args) > 0 && verb != "tick" && verb != "deliver" {
		a = g.actors[chord.PeerID(args[0])]
		if a == nil && verb != "peer" {
			return fmt.Errorf("no peer %s", args[0])
		}
	}
	switch verb {
	case "peer":
		return g.peer(chord.PeerID(args[0]), opts)
	case "meet":
		if a != nil {
			g.meet(a, args[1:]...)
			break
		}
		for _, id := range g.order {
			g.meet(g.actors[id])
		}
	case "submit":
		return g.submit(a, args[1:], opts)
	case "deliver":
		return g.deliver(opts, slices.Contains(args, "keep"))
	case "drop":
		g.pending = slices.DeleteFunc(g.pending, func(m Message) bool {
			if matches(&m, opts) {
				fmt.Fprintf(&g.out, "lost: %s\n", g.describe(&m))
				return true
			}
			return false
		})
	case "pending":
		for i := range g.pending {
			fmt.Fprintln(&g.out, g.describe(&g.pending[i]))
		}
	case "ran":
		return g.ran(a, args[1:], opts)
	case "tick":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		g.tick(g.now.Add(d))
	case "down":
		g.apply(a, a.s.PeerDown(g.now, chord.PeerID(args[1])))
	case "crash":
		a.s = nil
	case "restart":
		return g.start(a)
	case "freeze", "thaw":
		a.frozen = verb == "freeze"
		if !a.frozen {
			g.apply(a, a.s.Tick(g.now))
		}
	case "drain":
		g.apply(a, a.s.Drain(g.now))
	case "funcs":
		out, err := a.s.SetFuncs(g.now, strings.Split(args[1], ","))
		if err != nil {
			return err
		}
		g.apply(a, out)
	case "cancel":
		out, err := a.s.Cancel(g.now, g.jobs[0])
		if err != nil {
			return err
		}
		g.apply(a, out)
	case "job", "tasks", "stats":
		g.show(verb, a)
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}

func (g *stage) peer(id chord.PeerID, opts map[string]string) error {
	a := &actor{id: id, cfg: Config{Self: id, Funcs: []string{"f/v1"}}}
	for k, v := range opts {
		n, _ := strconv.Atoi(v)
		switch k {
		case "slots":
			a.cfg.Slots = n
		case "funcs":
			a.cfg.Funcs = strings.Split(v, ",")
		case "errors":
			a.cfg.MaxErrors = n
		case "crashes":
			a.cfg.MaxCrashes = n
		case "queue":
			a.cfg.MaxQueue = n
		case "bytes":
			a.cfg.MessageBytes = n
		default:
			return fmt.Errorf("unknown option %s", k)
		}
	}
	g.actors[id] = a
	g.order = append(g.order, id)
	return g.start(a)
}

func (g *stage) start(a *actor) (err error) {
	a.runs = make(map[string]Task)
	a.s, err = New(a.cfg, g.now, rand.New(rand.NewPCG(1, 2)))
	return err
}

// meet introduces the peers with these names to a, or all others.
func (g *stage) meet(a *actor, names ...string) {
	var ns []Neighbor
	for _, id := range g.order {
		if len(names) > 0 && !slices.Contains(names, string(id)) {
			continue
		}
		if id != a.id && g.actors[id].s != nil {
			ns = append(ns, Neighbor{ID: id, Lifeline: true})
		}
	}
	if a.s != nil {
		g.apply(a, a.s.SetPeers(g.now, ns))
	}
}

func (g *stage) submit(a *actor, args []string, opts map[string]string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	spec := Spec{Code: Code{Func: "f/v1"}, Inputs: make([][]byte, n)}
	if len(args) > 1 {
		spec.Code.Func = args[1]
	}
	if size, err := strconv.Atoi(opts["size"]); err == nil {
		for i := range spec.Inputs {
			spec.Inputs[i] = make([]byte, size)
		}
	}
	if p, err := strconv.Atoi(opts["priority"]); err == nil {
		spec.Priority = int8(p)
	}
	if n, err := strconv.Atoi(opts["retries"]); err == nil {
		spec.MaxErrors = 1 + n
	}
	if d, err := time.ParseDuration(opts["deadline"]); err == nil {
		spec.Deadline = g.now.Add(d)
	}
	job, out, err := a.s.Submit(g.now, spec)
	if err != nil {
		fmt.Fprintln(&g.out, err)
		return nil
	}
	for i := range n {
		name := strconv.Itoa(i)
		if len(g.jobs) > 0 {
			name = string(rune('a'+len(g.jobs))) + name
		}
		g.names[TaskID(job, ID{}, uint32(i))] = name
	}
	g.jobs = append(g.jobs, job)
	g.apply(a, out)
	return nil
}

func matches(m *Message, opts map[string]string) bool {
	return (opts["from"] == "" || opts["from"] == string(m.From)) &&
		(opts["to"] == "" || opts["to"] == string(m.To)) &&
		(opts["kind"] == "" || opts["kind"] == m.Kind.String())
}

func (g *stage) deliver(opts map[string]string, keep bool) error {
	for range 1000 {
		i := slices.IndexFunc(g.pending, func(m Message) bool { return matches(&m, opts) })
		if i < 0 {
			return nil
		}
		m := g.pending[i]
		if !keep {
			g.pending = slices.Delete(g.pending, i, i+1)
		}
		a := g.actors[m.To]
		if a.s == nil || a.frozen {
			fmt.Fprintf(&g.out, "in vain: %s\n", g.describe(&m))
			continue
		}
		fmt.Fprintln(&g.out, g.describe(&m))
		out, err := a.s.Step(g.now, m)
		if err != nil {
			fmt.Fprintf(&g.out, "  %s: %v\n", a.id, err)
		}
		g.apply(a, out)
		if keep {
			return nil
		}
	}
	return fmt.Errorf("it does not end")
}

func (g *stage) ran(a *actor, args []string, opts map[string]string) error {
	name, attempt, _ := strings.Cut(args[0], ".")
	if attempt == "" {
		attempt = "1"
	}
	t, ok := a.runs[name+"."+attempt]
	if !ok {
		return fmt.Errorf("%s does not run %s.%s", a.id, name, attempt)
	}
	delete(a.runs, name+"."+attempt)
	r := Result{Task: t.ID, Attempt: t.Attempt, Elapsed: time.Second, Output: []byte("done")}
	if len(args) > 1 && args[1] != "ok" {
		r.Output, r.Err, r.Crashed = nil, args[1], args[1] == "crash"
	}
	n, _ := strconv.Atoi(opts["fork"])
	for i := range n {
		r.Fork = append(r.Fork, nil)
		g.names[part(&t, i, 2, nil).ID] = fmt.Sprintf("%s/%d%c", name, t.Attempt, 'a'+i)
	}
	g.apply(a, a.s.Ran(g.now, r))
	return nil
}

// tick lets each peer's timers run out in order, up to a time.
func (g *stage) tick(end time.Time) {
	for {
		var next *actor
		for _, id := range g.order {
			a := g.actors[id]
			if a.s == nil || a.frozen {
				continue
			}
			due := a.s.Deadline()
			if !due.IsZero() && !due.After(end) && (next == nil || due.Before(next.s.Deadline())) {
				next = a
			}
		}
		if next == nil {
			break
		}
		if due := next.s.Deadline(); due.After(g.now) {
			g.now = due
		}
		before := len(g.pending)
		g.apply(next, next.s.Tick(g.now))
		for i := range g.pending[before:] {
			fmt.Fprintf(&g.out, "%s %s\n", g.now.Sub(g.begin).Round(time.Millisecond), g.describe(&g.pending[before+i]))
		}
	}
	g.now = end
}

func (g *stage) apply(a *actor, out Output) {
	g.pending = append(g.pending, out.Send...)
	for _, t := range out.Run {
		name := fmt.Sprintf("%s.%d", g.names[t.ID], t.Attempt)
		a.runs[name] = t
		fmt.Fprintf(&g.out, "  %s runs %s\n", a.id, name)
	}
	for _, r := range out.Stop {
		fmt.Fprintf(&g.out, "  %s stops %s.%d\n", a.id, g.names[r.Task], r.Attempt)
	}
	for _, id := range out.Finished {
		st, _ := a.s.Job(id)
		fmt.Fprintf(&g.out, "  %s: job %s\n", a.id, st.State)
	}
}

func (g *stage) show(what string, a *actor) {
	if what == "stats" {
		st := a.s.Stats()
		fmt.Fprintf(&g.out, "queued=%d running=%d foreign=%d done=%d in=%d out=%d stale=%d unknown=%d reruns=%d refused=%d\n",
			st.Queued, st.Running, st.Foreign, st.Done, st.StolenIn, st.StolenOut, st.Stale, st.Unknown, st.Reruns, st.Refused)
		return
	}
	st, _ := a.s.Job(g.jobs[0])
	if what == "job" {
		fmt.Fprintf(&g.out, "%s: queued=%d running=%d away=%d", st.State, st.Queued, st.Running, st.Away)
		if st.Forked > 0 {
			fmt.Fprintf(&g.out, " forked=%d", st.Forked)
		}
		fmt.Fprintf(&g.out, " done=%d failed=%d cancelled=%d by=%v\n", st.Done, st.Failed, st.Cancelled, st.ByPeer)
		if st.Why != "" {
			fmt.Fprintln(&g.out, "why: "+st.Why)
		}
		return
	}
	for _, ts := range a.s.Tasks(g.jobs[0], 0, st.Tasks) {
		fmt.Fprintf(&g.out, "%d: %s at %s", ts.Index, ts.State, ts.Peer)
		if ts.Running {
			fmt.Fprint(&g.out, ", running")
		}
		for _, at := range ts.Attempts {
			fmt.Fprintf(&g.out, "; %d %s at %s", at.N, at.Outcome, at.Peer)
			if at.Err != "" {
				fmt.Fprintf(&g.out, " (%s)", at.Err)
			}
		}
		fmt.Fprintln(&g.out)
	}
}

// describe writes a message as one line. Tasks and refs are index.attempt.hop.
func (g *stage) describe(m *Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s > %s %s", m.From, m.To, m.Kind)
	for _, f := range []struct {
		name string
		on   bool
	}{{"register", m.Register}, {"busy", m.Busy}, {"pending", m.Pending}, {"unknown", m.Unknown}, {"job", m.Job != ID{}}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	if m.Load.Peer != "" && m.Load.queued()+int(m.Load.Running) > 0 {
		fmt.Fprintf(&b, " queued=%d running=%d", m.Load.queued(), m.Load.Running)
	}
	if len(m.Tasks) > 0 {
		b.WriteString(" tasks:")
		for _, t := range m.Tasks {
			b.WriteString(" " + g.ref(t.ref()))
		}
	}
	if len(m.Refs) > 0 {
		b.WriteString(" refs:")
		for _, r := range m.Refs {
			b.WriteString(" " + g.ref(r))
		}
	}
	if len(m.Results) > 0 {
		b.WriteString(" results:")
		for _, r := range m.Results {
			fmt.Fprintf(&b, " %s.%d", g.names[r.Task], r.Attempt)
			if !r.OK() {
				b.WriteString("=" + r.Err)
			}
			if len(r.Fork) > 0 {
				fmt.Fprintf(&b, " forked=%d kept=%t", len(r.Fork), r.Kept)
			}
		}
	}
	return b.String()
}

func (g *stage) ref(r Ref) string {
	s := fmt.Sprintf("%s.%d.%d", g.names[r.Task], r.Attempt, r.Hop)
	if r.Running {
		s += "*"
	}
	return s
}
