package client

import (
	"context"
	"time"

	"github.com/chorus-net/chorus/internal/wire"
)

// The kinds of events.
const (
	EventPut    = "put"
	EventDelete = "delete"
	// EventResync says that changes of a part of the keys could not be followed
	// one by one: all that this part holds comes next, as puts and deletes. Where
	// deletes may be forgotten that came since it was last followed, the watch ends
	// instead, with ErrLapsed.
	EventResync = "resync"
)

// Event is one change that a watch saw. A key that changes often may show its
// last version only, and a version may show more than once.
type Event struct {
	Kind    string    `json:"event"`
	Key     string    `json:"key,omitempty"`
	Version string    `json:"version,omitempty"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// WatchSpec says what is watched.
type WatchSpec struct {
	Prefix string `json:"prefix"` // of keys
	// Cursor is where another watch of the prefix ended; empty: the present.
	Cursor string `json:"cursor,omitempty"`
	// Existing asks for the keys that are there first, unless there is a cursor.
	Existing bool `json:"existing,omitempty"`
}

// Watch follows changes over a peer's socket. It belongs to one goroutine.
type Watch struct {
	c      *Client
	id     string
	events []Event // of the last answer, not returned yet
	cursor string  // behind what was returned
	next   string  // behind events
}

// WatchBegun is a peer's answer to a watch that begins.
type WatchBegun struct {
	ID     string `json:"id"`
	Cursor string `json:"cursor"`
}

// WatchPage is an answer of a peer to a watch: events, and the cursor behind
// them.
type WatchPage struct {
	Events []Event `json:"events"`
	Cursor string  `json:"cursor"`
}

// maxEvents bounds the events of one answer.
const maxEvents = 1000

// Watch begins to follow the changes of keys that begin with a prefix: each
// that is acknowledged after it returned shows at least once. Close ends it.
func (c *Client) Watch(ctx context.Context, spec WatchSpec) (*Watch, error) {
	for _, text := range []string{spec.Prefix, spec.Cursor} {
		if err := checkKey(text); err != nil {
			return nil, err
		}
	}
	var begun WatchBegun
	if _, err := c.call(ctx, wire.MethodCtlWatch, spec, nil, &begun); err != nil {
		return nil, err
	}
	return &Watch{c: c, id: begun.ID, cursor: begun.Cursor}, nil
}

// Next waits for the next event. ErrLagging ends a watch that was not read for
// a minute while there was much to tell; another one goes on at Cursor.
func (w *Watch) Next(ctx context.Context) (Event, error) {
	for len(w.events) == 0 {
		var page WatchPage
		if _, err := w.c.call(ctx, wire.MethodCtlWatchNext, wire.ControlWatch{ID: w.id, Limit: maxEvents}, nil, &page); err != nil {
			return Event{}, err
		}
		w.events, w.next = page.Events, page.Cursor
		if len(w.events) == 0 {
			w.cursor = w.next
		}
	}
	e := w.events[0]
	if w.events = w.events[1:]; len(w.events) == 0 {
		w.cursor = w.next
	}
	return e, nil
}

// Cursor returns where another watch of the prefix goes on, here or at another
// peer: behind what Next returned, or before it, so that some events show again.
func (w *Watch) Cursor() string { return w.cursor }

// Buffered returns how many events the next calls of Next return at once.
func (w *Watch) Buffered() int { return len(w.events) }

// Close ends the watch at the peer.
func (w *Watch) Close(ctx context.Context) error {
	_, err := w.c.call(ctx, wire.MethodCtlWatchEnd, wire.ControlWatch{ID: w.id}, nil, nil)
	return err
}
