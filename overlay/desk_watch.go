package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

const (
	maxWatches = 64              // of clients of one peer
	watchIdle  = 2 * time.Minute // a watch that no client asks about for so long ends
	watchPage  = 30 * time.Second
	maxEvents  = 4096
)

// watches are those of clients. A client that is gone is one that does not ask.
type watches struct {
	mu   sync.Mutex
	list map[string]*clientWatch
}

// clientWatch is the watch of a client. Whoever holds the token reads it.
type clientWatch struct {
	by    chord.PeerID // a guest; "": the peer's owner
	watch *Watch
	token chan struct{}
	idle  *time.Timer
}

// watchCalls are those of watches.
func (d *desk) watchCalls() []deskCall {
	return []deskCall{
		answers(d, wire.MethodCtlWatch, rpc.Spec{Name: "watch", Role: rpc.RoleRead, MaxBytes: 2 * maxCursor}, d.watch),
		answers(d, wire.MethodCtlWatchNext, rpc.Spec{Name: "watchnext", Role: rpc.RoleRead}, d.watchNext),
		answers(d, wire.MethodCtlWatchEnd, rpc.Spec{Name: "watchend", Role: rpc.RoleRead}, d.watchEnd),
	}
}

// full reports whether there are too many watches for another one, under the lock.
func (w *watches) full(by chord.PeerID) bool {
	n := 0
	for _, c := range w.list {
		if by != "" && c.by == by {
			n++
		}
	}
	return n >= maxGuestWatches || len(w.list) >= maxWatches
}

func (d *desk) watch(ctx context.Context, in client.WatchSpec, _ []byte) (any, []byte, error) {
	w, err := d.node.Watch(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	id, cursor, by := rand.Text(), w.Cursor(), callerOf(ctx).id
	d.watches.mu.Lock()
	full := d.watches.full(by)
	if !full {
		d.watches.list[id] = &clientWatch{
			by: by, watch: w, token: make(chan struct{}, 1),
			idle: time.AfterFunc(watchIdle, func() { d.endWatch(id) }),
		}
	}
	d.watches.mu.Unlock()
	if full {
		return nil, nil, errors.Join(tooManyWatches, w.Close())
	}
	return client.WatchBegun{ID: id, Cursor: cursor}, nil, nil
}

var tooManyWatches = &client.Error{Code: client.CodeOverloaded, Message: fmt.Sprintf("watch: the peer has %d watches, or %d of this guest", maxWatches, maxGuestWatches)}

// watchNext answers with events, or after a while without.
func (d *desk) watchNext(ctx context.Context, in wire.ControlWatch, _ []byte) (any, []byte, error) {
	d.watches.mu.Lock()
	s := d.watches.list[in.ID]
	d.watches.mu.Unlock()
	if s == nil {
		return nil, nil, &client.Error{Code: client.CodeNotFound, Message: "watch: it has ended", Fix: "peer watch --cursor CURSOR"}
	}
	select {
	case s.token <- struct{}{}:
		defer func() { <-s.token }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	s.idle.Reset(watchIdle)
	bounded, cancel := context.WithTimeout(ctx, watchPage)
	defer cancel()
	events, err := s.watch.take(bounded, min(max(in.Limit, 1), maxEvents))
	if err != nil && bounded.Err() == nil {
		d.endWatch(in.ID)
		return nil, nil, err
	}
	return client.WatchPage{Events: events, Cursor: s.watch.Cursor()}, nil, nil
}

func (d *desk) watchEnd(_ context.Context, in wire.ControlWatch, _ []byte) (any, []byte, error) {
	d.endWatch(in.ID)
	return nil, nil, nil
}

// endWatch ends a client's watch.
func (d *desk) endWatch(id string) {
	d.watches.mu.Lock()
	s := d.watches.list[id]
	delete(d.watches.list, id)
	d.watches.mu.Unlock()
	if s != nil {
		s.idle.Stop()
		_ = s.watch.Close() // never fails
	}
}
