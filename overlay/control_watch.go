package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

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
	watch *Watch
	token chan struct{}
	idle  *time.Timer
}

// registerWatches adds the handlers of watches.
func (c *control) registerWatches() {
	c.watches.list = make(map[string]*clientWatch)
	handle(c, wire.MethodCtlWatch, rpc.Spec{Name: "control.watch", MaxBytes: 2 * maxCursor}, c.watch)
	handle(c, wire.MethodCtlWatchNext, rpc.Spec{Name: "control.watchnext"}, c.watchNext)
	handle(c, wire.MethodCtlWatchEnd, rpc.Spec{Name: "control.watchend"}, c.watchEnd)
}

func (c *control) watch(ctx context.Context, in client.WatchSpec, _ []byte) (any, []byte, error) {
	w, err := c.node.Watch(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	id, cursor := rand.Text(), w.Cursor()
	c.watches.mu.Lock()
	full := len(c.watches.list) >= maxWatches
	if !full {
		c.watches.list[id] = &clientWatch{
			watch: w, token: make(chan struct{}, 1),
			idle: time.AfterFunc(watchIdle, func() { c.endWatch(id) }),
		}
	}
	c.watches.mu.Unlock()
	if full {
		return nil, nil, errors.Join(tooManyWatches, w.Close())
	}
	return client.WatchBegun{ID: id, Cursor: cursor}, nil, nil
}

var tooManyWatches = &client.Error{Code: client.CodeOverloaded, Message: fmt.Sprintf("watch: the peer has %d watches", maxWatches)}

// watchNext answers with events, or after a while without.
func (c *control) watchNext(ctx context.Context, in wire.ControlWatch, _ []byte) (any, []byte, error) {
	c.watches.mu.Lock()
	s := c.watches.list[in.ID]
	c.watches.mu.Unlock()
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
		c.endWatch(in.ID)
		return nil, nil, err
	}
	return client.WatchPage{Events: events, Cursor: s.watch.Cursor()}, nil, nil
}

func (c *control) watchEnd(_ context.Context, in wire.ControlWatch, _ []byte) (any, []byte, error) {
	c.endWatch(in.ID)
	return nil, nil, nil
}

// endWatch ends a client's watch.
func (c *control) endWatch(id string) {
	c.watches.mu.Lock()
	s := c.watches.list[id]
	delete(c.watches.list, id)
	c.watches.mu.Unlock()
	if s != nil {
		s.idle.Stop()
		_ = s.watch.Close() // never fails
	}
}
