package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// What the story is made of.
const (
	storyKey      = "songs/aria"
	storyKeys     = 100
	replicas      = 3
	storyTasks    = 200
	storyPrimes   = 2_500_000 // a few milliseconds of work
	agreeWithin   = 3 * time.Second
	storyPatience = 30 * time.Second // for a step
)

// songs are the keys that the story shows.
var songs = []struct{ key, value string }{
	{storyKey, "one voice, and an orchestra that listens"},
	{"songs/canon", "one melody, begun again by the next voice"},
	{"songs/fugue", "a theme that every voice takes up in turn"},
	{"songs/motet", "several texts at once"},
	{"songs/round", "a canon without an end"},
}

// demoDoc is the story for scripts.
type demoDoc struct {
	Peers   int            `json:"peers"`
	AgreedS float64        `json:"agreed_s"`
	Keys    int            `json:"keys"`
	Tasks   int            `json:"tasks"`
	ByPeer  map[string]int `json:"by_peer"`
	TasksS  float64        `json:"tasks_s"`
	Killed  string         `json:"killed"`
	Read    int            `json:"read"` // keys read after the kill
	ReadS   float64        `json:"read_s"`
	Failed  []string       `json:"failed"` // what did not hold
	WallS   float64        `json:"wall_s"`
}

// story tells what happens and checks that it is true.
type story struct {
	c     *console
	out   io.Writer
	ring  *cluster.Cluster
	named peerNames
	start time.Time
	doc   demoDoc
}

// tell adds a line.
func (s *story) tell(format string, args ...any) {
	at := s.c.style(s.out, faint, fmt.Sprintf("%5.1fs", time.Since(s.start).Seconds()))
	fmt.Fprintf(s.out, "%s  %s\n", at, fmt.Sprintf(format, args...))
}

// took tells how long ago something began.
func took(began time.Time) string {
	d := time.Since(began)
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// check notes what did not hold.
func (s *story) check(ok bool, format string, args ...any) {
	if !ok {
		s.doc.Failed = append(s.doc.Failed, fmt.Sprintf(format, args...))
	}
}

// show prints a table below a line.
func (s *story) show(t *table) {
	var b strings.Builder
	t.write(s.c, &b)
	for _, line := range lines(b.String()) {
		fmt.Fprintf(s.out, "        %s\n", line)
	}
}

// play runs the story. An error ends it; what merely did not hold is in the
// document.
func (s *story) play(ctx context.Context) error {
	defer func() { s.doc.WallS = time.Since(s.start).Seconds() }()
	s.named = make(peerNames)
	for _, node := range s.ring.Nodes() {
		s.named[node.ID()] = node.Name()
	}
	for _, step := range []func(context.Context) error{s.agree, s.keep, s.read, s.work, s.kill} {
		if err := bounded(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func bounded(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storyPatience)
	defer cancel()
	return step(ctx)
}

// agree waits until all peers see the same ring.
func (s *story) agree(ctx context.Context) error {
	if err := s.ring.Agree(ctx); err != nil {
		return err
	}
	after := time.Since(s.start)
	s.doc.AgreedS = after.Seconds()
	s.check(after <= agreeWithin, "the ring agreed only after %.1f s", after.Seconds())
	view, err := s.ring.Nodes()[0].Ring(ctx)
	if err != nil {
		return err
	}
	var shares []string
	for _, p := range view.Peers {
		shares = append(shares, fmt.Sprintf("%s %.0f%%", s.named.name(p.ID), 100*p.Owns))
	}
	slices.Sort(shares)
	s.tell("they agree on one ring, with no leader; of the keys it gives %s", sentence(shares))
	return nil
}

// keep puts keys at the first peer.
func (s *story) keep(ctx context.Context) error {
	holders := newTable("KEY", "KEPT BY")
	for i := range storyKeys {
		if err := s.put(ctx, i); err != nil {
			return err
		}
	}
	for _, song := range songs {
		record, err := s.first().Get(ctx, song.key)
		if err != nil {
			return err
		}
		holders.row(song.key, s.named.list(record.Holders))
	}
	s.doc.Keys = storyKeys
	s.tell("%s puts %d keys; three peers keep each, and sync it to disk before they say so:", s.first().Name(), storyKeys)
	s.show(holders)
	return nil
}

// put stores the i-th key at three peers. Where a shard is still on its way to its
// third one, it tries again.
func (s *story) put(ctx context.Context, i int) error {
	key, value := pair(i)
	for {
		receipt, err := s.first().Put(ctx, key, []byte(value))
		if err != nil {
			return err
		}
		for _, a := range receipt.Acks {
			s.check(a.Synced, "%s was not synced at %s", key, s.named.name(a.Peer))
		}
		if receipt.N == replicas {
			s.check(len(receipt.Acks) >= receipt.W, "%s was acknowledged by %d peers", key, len(receipt.Acks))
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s is kept by %d peers, not %d: %w", key, receipt.N, replicas, ctx.Err())
		}
	}
}

// pair is the i-th key and its value: the songs come first.
func pair(i int) (key, value string) {
	if i < len(songs) {
		return songs[i].key, songs[i].value
	}
	key = fmt.Sprintf("notes/%02d", i)
	return key, "the text of " + key
}

// read gets a key at the last peer.
func (s *story) read(ctx context.Context) error {
	reader := s.last()
	record, err := reader.Get(ctx, storyKey)
	if err != nil {
		return err
	}
	s.check(string(record.Value) == songs[0].value, "%s read %q", reader.Name(), record.Value)
	s.tell("%s reads %s: %q", reader.Name(), storyKey, record.Value)
	return nil
}

// work submits tasks at the second peer.
func (s *story) work(ctx context.Context) error {
	busy := s.ring.Nodes()[1]
	began := time.Now()
	inputs := make([][]byte, storyTasks)
	for i := range inputs {
		inputs[i] = fmt.Appendf(nil, "%d", storyPrimes+i)
	}
	id, err := busy.Submit(ctx, overlay.JobSpec{Code: overlay.Code{Func: "primes"}, Inputs: inputs})
	if err != nil {
		return err
	}
	job, err := busy.Wait(ctx, id)
	if err != nil {
		return err
	}
	s.doc.Tasks, s.doc.TasksS = job.Done, time.Since(began).Seconds()
	s.check(job.Done == storyTasks, "%d of %d tasks were done", job.Done, storyTasks)
	s.doc.ByPeer = make(map[string]int)
	for id, n := range job.ByPeer {
		s.doc.ByPeer[s.named.name(id)] = n
	}
	ran := newTable("PEER", "TASKS\t", "")
	for _, node := range s.ring.Nodes() {
		n := s.doc.ByPeer[node.Name()]
		s.check(n > 0, "%s ran no task", node.Name())
		ran.row(node.Name(), n, strings.Repeat("#", (n+2)/4))
	}
	s.tell("%s is given %d tasks, and the idle peers steal from it; %s later all are done:", busy.Name(), storyTasks, took(began))
	s.show(ran)
	return nil
}

// kill crashes a peer that keeps the story's key and reads every key without
// it.
func (s *story) kill(ctx context.Context) error {
	record, err := s.first().Get(ctx, storyKey)
	if err != nil {
		return err
	}
	victim := s.victim(record)
	s.doc.Killed = victim.Name()
	victim.Kill()
	s.tell("%s is killed: sockets closed, goroutines cut, nothing flushed, nobody told", victim.Name())

	reader := s.first()
	began := time.Now()
	for i := range storyKeys {
		key, value := pair(i)
		if record, err := reader.Get(ctx, key); err == nil && string(record.Value) == value {
			s.doc.Read++
		}
	}
	s.doc.ReadS = time.Since(began).Seconds()
	s.check(s.doc.Read == storyKeys, "only %d of %d keys were read after the kill", s.doc.Read, storyKeys)
	s.tell("%s still reads %d of %d keys, in %s", reader.Name(), s.doc.Read, storyKeys, took(began))
	return nil
}

func (s *story) first() *overlay.Node { return s.ring.Nodes()[0] }

func (s *story) last() *overlay.Node {
	nodes := s.ring.Nodes()
	return nodes[len(nodes)-1]
}

// victim returns a peer that keeps the record, but neither of the first two:
// one of its three replicas is neither.
func (s *story) victim(record overlay.Record) *overlay.Node {
	for _, node := range slices.Backward(s.ring.Nodes()[2:]) {
		if slices.Contains(record.Holders, node.ID()) {
			return node
		}
	}
	return s.last()
}
