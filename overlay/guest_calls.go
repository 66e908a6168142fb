package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// guestSeek is how long a call waits for a member that answers.
const guestSeek = 10 * time.Second

// guestPatience is how long a guest waits for the answer of a call at a member that answers
// pings.
func guestPatience(m rpc.Method) time.Duration {
	switch m {
	case wire.MethodCtlWait:
		return 2 * waitAtOnce
	case wire.MethodCtlWatchNext:
		return 2 * watchPage
	case wire.MethodCtlSubmit, wire.MethodCtlJob, wire.MethodCtlTop, wire.MethodCtlLookup:
		return time.Minute
	default:
		return 4 * opTimeout
	}
}

// repeatable reports whether a call may be made twice.
func repeatable(m rpc.Method) bool {
	switch m {
	case wire.MethodCtlGet, wire.MethodCtlOpen, wire.MethodCtlGetChunk, wire.MethodCtlRegister, wire.MethodCtlList,
		wire.MethodCtlNamespace, wire.MethodCtlNamespaces, wire.MethodCtlRing, wire.MethodCtlTrace, wire.MethodCtlTop:
		return true
	}
	return false
}

// anyMember makes calls at a contact, and at another one if that can do no harm.
type anyMember struct{ g *guest }

var _ client.Conn = anyMember{}

// Call implements client.Conn.
func (a anyMember) Call(ctx context.Context, h rpc.Header, payload []byte) ([]byte, error) {
	reply, _, err := a.g.send(ctx, h, payload)
	return reply, err
}

// Done implements client.Conn.
func (a anyMember) Done() <-chan struct{} { return a.g.n.ctx.Done() }

// Close implements client.Conn: the node owns what there is to close.
func (anyMember) Close() error { return nil }

// oneMember makes calls at one member.
type oneMember struct {
	anyMember
	c *contact
}

// Call implements client.Conn.
func (o oneMember) Call(ctx context.Context, h rpc.Header, payload []byte) ([]byte, error) {
	reply, err := o.g.callAt(ctx, o.c, h, payload)
	return reply, o.g.explain(err)
}

// at returns a client of one member, contact or not.
func (g *guest) at(id chord.PeerID) *client.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.contacts {
		if c.id == id {
			return client.New(oneMember{anyMember{g}, c})
		}
	}
	return client.New(oneMember{anyMember{g}, &contact{id: id, ctx: g.n.ctx}})
}

// relay hands a call of the control socket on, as it is.
func (g *guest) relay(ctx context.Context, req *rpc.Request) ([]byte, error) {
	reply, _, err := g.send(ctx, rpc.Header{Method: req.Method}, req.Payload)
	return reply, err
}

// send makes a call at a contact, and tells at which. Where the call was not begun, or may be made
// twice, another contact is tried.
func (g *guest) send(ctx context.Context, h rpc.Header, payload []byte) ([]byte, chord.PeerID, error) {
	var tried []chord.PeerID
	var last error
	seek, cancel := context.WithTimeout(ctx, guestSeek)
	defer cancel()
	for {
		c, err := g.pick(seek, tried)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, "", ctx.Err()
		case errors.Is(err, ErrClosed):
			return nil, "", rpc.ErrClosed
		case last != nil:
			return nil, "", g.explain(last)
		default:
			return nil, "", &rpc.Error{
				Code: string(client.CodeNoAnswer), Message: fmt.Sprintf("no member of ring %q answers this guest", g.n.ring.Name),
				Detail: []byte("peer doctor (tells why), then start the members that are down"),
			}
		}
		reply, err := g.callAt(ctx, c, h, payload)
		if err == nil {
			return reply, c.id, nil
		}
		if ctx.Err() != nil || !again(h.Method, err) {
			return nil, "", g.explain(err)
		}
		last = err
		if tried = append(tried, c.id); len(tried) > guestContacts {
			tried = slices.Delete(tried, 0, 1) // it may be back, or have room
		}
	}
}

// errMemberLost ends the calls at a member that answers no more.
var errMemberLost = &rpc.Error{Code: rpc.CodeConnLost, Message: "the member answers no more"}

// again reports whether a call that failed may be made at another member.
func again(m rpc.Method, err error) bool {
	var e *rpc.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return repeatable(m)
	case !errors.As(err, &e):
		return false
	}
	switch e.Code {
	case rpc.CodeUnreachable, rpc.CodeBusy: // it was not begun
		return true
	case rpc.CodeConnLost, rpc.CodeUnavailable, string(client.CodeClosed):
		return repeatable(m)
	}
	return false
}

// callAt makes a call at one member, in as many parts as it takes.
func (g *guest) callAt(ctx context.Context, c *contact, h rpc.Header, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(errMemberLost) })()
	patience := guestPatience(h.Method)
	h.Deadline = time.Now().Add(patience)
	if end, ok := ctx.Deadline(); ok && end.Add(-patience).After(h.Deadline) {
		h.Deadline = end.Add(-patience) // and time for another member
	}
	reply, err := g.exchange(ctx, c.id, h, payload)
	if errors.Is(context.Cause(ctx), errMemberLost) {
		err = errMemberLost
	}
	return reply, err
}

func (g *guest) exchange(ctx context.Context, to chord.PeerID, h rpc.Header, payload []byte) ([]byte, error) {
	p := wire.Parcel{Part: payload}
	if len(payload) > wire.MaxParcel {
		rand.Read(p.ID[:]) // it does not fail
	}
	for len(payload)-int(p.At) > wire.MaxParcel {
		p.Part = payload[p.At:][:wire.MaxParcel]
		if _, err := g.n.host.Call(ctx, to, rpc.Header{Method: wire.MethodParcel, Deadline: h.Deadline}, wire.AppendParcel(nil, p)); err != nil {
			return nil, err
		}
		p.At += uint32(len(p.Part))
	}
	p.Part = payload[p.At:]
	first, err := call(ctx, g.n, to, h, wire.AppendParcel(nil, p), wire.ParseParcel)
	if err != nil || first.ID == ([16]byte{}) {
		return first.Part, err
	}
	reply := first.Part
	for len(reply) < int(first.At) {
		ask := wire.Parcel{ID: first.ID, At: uint32(len(reply))}
		more, err := call(ctx, g.n, to, rpc.Header{Method: wire.MethodRest, Deadline: h.Deadline}, wire.AppendParcel(nil, ask), wire.ParseParcel)
		if err != nil {
			return nil, err
		}
		if len(more.Part) == 0 {
			return nil, errNoParcel
		}
		reply = append(reply, more.Part...)
	}
	return reply, nil
}

// explain gives the error of a call the form in which the client reads it.
func (g *guest) explain(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case rpc.CodeRefused:
		if len(e.Detail) > 0 {
			return e
		}
		return &rpc.Error{
			Code: string(client.CodeRefused), Message: fmt.Sprintf("%s: this peer is a guest of ring %q", e.Message, g.n.ring.Name),
			Detail: []byte("peer invite --role member (at an inviter), then peer run --join TOKEN in another home (--home DIR)"),
		}
	case rpc.CodeConnLost, rpc.CodeUnavailable, rpc.CodeUnreachable, string(client.CodeClosed):
		if g.n.ctx.Err() != nil {
			return rpc.ErrClosed
		}
		return &rpc.Error{
			Code: string(client.CodeNoAnswer), Message: "the member that was asked was lost before it answered; whether it did what it was asked for is not known",
			Detail: []byte("look (peer get, peer job ls), and repeat the command if it was not done"),
		}
	}
	return e
}
