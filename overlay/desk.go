package overlay

import (
	"context"
	"errors"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// desk answers the calls of those who use a peer: of its owner over the control socket, and of
// guests of a closed ring. Its handlers do what the Node's methods do.
type desk struct {
	node    *Node
	watches watches
	closing context.Context //nolint:containedctx // handlers end with it
}

func newDesk(closing context.Context, n *Node) *desk {
	return &desk{node: n, watches: watches{list: make(map[string]*clientWatch)}, closing: closing}
}

// deskCall is one call that a desk answers.
type deskCall struct {
	method rpc.Method
	spec   rpc.Spec
	handle rpc.Handler
}

// answers makes the handler of a method: fn gets the request's document and body and returns
// those of the answer.
func answers[In any](d *desk, m rpc.Method, spec rpc.Spec, fn func(ctx context.Context, in In, body []byte) (doc any, out []byte, err error)) deskCall {
	return deskCall{m, spec, func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(d.closing, cancel)()
		var in In
		body, err := wire.ParseControl(req.Payload, &in)
		if err != nil {
			return nil, &rpc.Error{Code: string(client.CodeUsage), Message: err.Error()}
		}
		doc, out, err := fn(ctx, in, body)
		if err != nil {
			return nil, d.travelling(err)
		}
		return wire.AppendControl(nil, doc, out)
	}}
}

// answerTime is what the way back of an answer is given.
const answerTime = 100 * time.Millisecond

// inTime makes an operation end before its caller gives up, so that its error, which says
// who was waited for, still gets there.
func inTime[Doc, R any](op func(context.Context, Doc, []byte) (R, []byte, error)) func(context.Context, Doc, []byte) (R, []byte, error) {
	return func(ctx context.Context, in Doc, body []byte) (R, []byte, error) {
		if end, ok := ctx.Deadline(); ok {
			early, cancel := context.WithDeadline(ctx, end.Add(-min(time.Until(end)/10, answerTime)))
			defer cancel()
			ctx = early
		}
		return op(ctx, in, body)
	}
}

// travelling returns an error as the client reads it.
func (d *desk) travelling(err error) *rpc.Error {
	if d.closing.Err() != nil && errors.Is(err, context.Canceled) {
		err = client.ErrClosed
	}
	e := client.AsError(err)
	return &rpc.Error{Code: string(e.Code), Message: e.Message, Detail: []byte(e.Fix)}
}
