package overlay

import (
	"context"
	"errors"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
)

// guestWatch is a watch at a member. Where that is lost, it goes on at another.
type guestWatch struct {
	g    *guest
	spec client.WatchSpec
	w    *client.Watch
}

// watch begins a watch.
func (g *guest) watch(ctx context.Context, spec client.WatchSpec) (*Watch, error) {
	r := &guestWatch{g: g, spec: spec}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	return &Watch{n: g.n, spec: spec, remote: r}, nil
}

// begin begins the watch at a contact.
func (r *guestWatch) begin(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*watchBegin)
	defer cancel()
	var tried []chord.PeerID
	for {
		c, bad := r.g.pick(ctx, tried)
		if bad != nil {
			return errors.Join(err, bad)
		}
		if r.w, err = r.g.at(c.id).Watch(ctx, r.spec); err == nil || !movesOn(err) {
			return err
		}
		tried = append(tried, c.id)
	}
}

// movesOn reports whether a watch that failed so goes on at another member.
func movesOn(err error) bool {
	for _, code := range []client.ErrorCode{client.CodeNoAnswer, client.CodeNotFound, client.CodeClosed, client.CodeOverloaded} {
		if errors.Is(err, &client.Error{Code: code}) {
			return true
		}
	}
	return false
}

// next returns the next event, wherever it is seen.
func (r *guestWatch) next(ctx context.Context) (client.Event, error) {
	for {
		e, err := r.w.Next(ctx)
		if err == nil || ctx.Err() != nil || r.g.n.ctx.Err() != nil || !movesOn(err) {
			return e, err
		}
		r.spec.Cursor, r.spec.Existing = r.w.Cursor(), false
		for {
			err := r.begin(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil || !movesOn(err) && !errors.Is(err, context.DeadlineExceeded) {
				return client.Event{}, err
			}
			if !sleep(r.g.n.ctx, watchRetry) {
				return client.Event{}, ErrClosed
			}
		}
	}
}

// close ends the watch at its member, if that answers soon.
func (r *guestWatch) close() {
	ctx, cancel := context.WithTimeout(r.g.n.ctx, time.Second)
	defer cancel()
	_ = r.w.Close(ctx) // it ends by itself when nobody asks
}
