package model

import (
	"fmt"
	"strings"

	"github.com/chorus-net/chorus/chord"
)

// tracef writes one line of the transcript.
func (w *World) tracef(format string, args ...any) {
	if w.Trace != nil {
		fmt.Fprintf(w.Trace, "%9.3fs  %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// traceMessage writes one line for a message; fate is empty for one that
// arrives.
func (w *World) traceMessage(fate string, from *Peer, m *chord.Message) {
	if w.Trace == nil {
		return
	}
	if fate != "" {
		fate = " (" + fate + ")"
	}
	w.tracef("%s -> %s: %s%s", from, m.To, Describe(m), fate)
}

// traceLookup writes how a lookup ended.
func (w *World) traceLookup(p *Peer, res *chord.LookupResult) {
	if w.Trace == nil {
		return
	}
	end := fmt.Sprintf("at %s", res.Owner.ID)
	if res.Err != nil {
		end = res.Err.Error()
	}
	var path strings.Builder
	for _, h := range res.Path {
		word := "answered after"
		if !h.Answered {
			word = "did not within"
		}
		fmt.Fprintf(&path, "; %s %s %v", h.Peer, word, h.RTT)
	}
	w.tracef("%s finds %s: %s, with %d requests, %d of them hedges%s", p, res.Target.Short(), end, res.Requests, res.Hedges, path.String())
}

// traceState writes the lists of a peer whose ring state changed.
func (w *World) traceState(p *Peer) {
	if w.Trace == nil {
		return
	}
	for _, n := range p.Ring.Neighbours() {
		pred := "?"
		if n.Pred.Peer != "" {
			pred = name(n.Pred)
		}
		var list []string
		for _, s := range n.Successors {
			list = append(list, name(s))
		}
		w.tracef("    %s: before it %s, after it %s", name(n.At), pred, strings.Join(list, " "))
	}
}

func name(p chord.Place) string { return fmt.Sprintf("%s.%d", p.Peer, p.Index) }

// Describe returns a message in one line for people.
func Describe(m *chord.Message) string {
	var b strings.Builder
	ref := func(r chord.Ref) string {
		if r.Peer == chord.Known {
			return fmt.Sprintf("=%d", r.Index)
		}
		return fmt.Sprintf("%s.%d", m.Peers[r.Peer].ID, r.Index)
	}
	refs := func(rs []chord.Ref) string {
		var s []string
		for _, r := range rs {
			s = append(s, ref(r))
		}
		return strings.Join(s, " ")
	}
	switch m.Kind {
	case chord.KindAsk:
		b.WriteString("ask")
	case chord.KindReply:
		b.WriteString("reply")
	case chord.KindTell:
		b.WriteString("tell")
	case chord.KindLeave:
		b.WriteString("farewell")
	}
	if !m.Member && m.Kind != chord.KindLeave {
		b.WriteString(" as no member")
	}
	for _, x := range m.Wants {
		fmt.Fprintf(&b, ", state of %d", x.Index)
	}
	for _, n := range m.Notes {
		fmt.Fprintf(&b, ", my %d precedes your %d", n.Mine, n.Yours)
	}
	for _, id := range m.Vets {
		fmt.Fprintf(&b, ", do you reach %s?", id)
	}
	for _, t := range m.Finds {
		fmt.Fprintf(&b, ", find %s", t.Short())
	}
	if len(m.Sync) > 0 {
		b.WriteString(", compare tables")
	}
	for _, s := range m.States {
		if s.Same {
			fmt.Fprintf(&b, ", %d unchanged", s.Index)
			continue
		}
		pred := "?"
		if s.HasPred {
			pred = ref(s.Pred)
		}
		fmt.Fprintf(&b, ", %d: before it %s, after it %s", s.Index, pred, refs(s.List))
	}
	for _, f := range m.Found {
		word := "nearer"
		if f.Done {
			word = "found"
		}
		fmt.Fprintf(&b, ", %s %s", word, strings.ReplaceAll(refs(f.Nodes), "=", string(m.From)+"."))
	}
	if len(m.Synced) > 0 {
		fmt.Fprintf(&b, ", %d parts of the table", len(m.Synced))
	}
	describeNews(&b, m)
	for _, e := range m.Events {
		word := map[chord.EventKind]string{chord.EventDead: "dead", chord.EventLeft: "gone", chord.EventHeard: "here"}[e.Kind]
		fmt.Fprintf(&b, ", %s is %s", e.Peer, word)
	}
	if m.Who {
		b.WriteString(", who are you?")
	}
	return b.String()
}

// describeNews writes what a message says of the membership of others.
func describeNews(b *strings.Builder, m *chord.Message) {
	for _, n := range m.News {
		switch n.Kind {
		case chord.EventAlive:
			fmt.Fprintf(b, ", tell that %s is new", m.Peers[n.Peer].ID)
		case chord.EventDead:
			fmt.Fprintf(b, ", tell that the peer at %08x has died", n.At>>32)
		default:
			fmt.Fprintf(b, ", tell that the peer at %08x has left", n.At>>32)
		}
	}
	if m.New {
		b.WriteString(", announce me")
	}
	if len(m.Keys) > 0 {
		fmt.Fprintf(b, ", %d keys", len(m.Keys))
	}
	if len(m.Fetch) > 0 {
		fmt.Fprintf(b, ", fetch %d records", len(m.Fetch))
	}
}
