package overlay

import (
	"context"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// registerStreams adds the handlers of large values. A client cuts a value into
// chunks, and puts it together, by itself; the peer keeps nothing between two of
// its calls.
func (c *control) registerStreams() {
	handle(c, wire.MethodCtlBegin, rpc.Spec{Name: "control.begin"}, c.begin)
	handle(c, wire.MethodCtlPutChunk, rpc.Spec{Name: "control.putchunk", MaxBytes: chunk.Size + rpc.DefaultMaxBytes}, c.putChunk)
	handle(c, wire.MethodCtlCommit, rpc.Spec{Name: "control.commit", MaxBytes: maxPutRequest}, c.commit)
	handle(c, wire.MethodCtlOpen, rpc.Spec{Name: "control.open"}, c.open)
	handle(c, wire.MethodCtlGetChunk, rpc.Spec{Name: "control.getchunk"}, c.getChunk)
}

func (c *control) begin(ctx context.Context, in wire.ControlPut, _ []byte) (any, []byte, error) {
	return nil, nil, c.node.begin(ctx, in.Key, putOptionsOf(in))
}

func (c *control) putChunk(ctx context.Context, in wire.ControlPut, body []byte) (any, []byte, error) {
	kept, err := c.node.putChunk(ctx, in.Key, Level(in.W), body)
	return kept, nil, err
}

func (c *control) commit(ctx context.Context, in wire.ControlCommit, body []byte) (any, []byte, error) {
	m, err := chunk.ParseManifest(body)
	if err != nil {
		return nil, nil, usage("put %q: %w", in.Key, err)
	}
	up := client.Upload{Key: in.Key, Level: Level(in.W), Manifest: m, Oldest: in.Oldest, Reused: in.Reused}
	receipt, err := c.node.commit(ctx, &up, putOptionsOf(in.ControlPut))
	return receipt, nil, err
}

func (c *control) open(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	return c.node.open(ctx, in.Key, []GetOption{WithR(Level(in.R))})
}

func (c *control) getChunk(ctx context.Context, in wire.ControlChunk, _ []byte) (any, []byte, error) {
	if len(in.Hash) != len(chunk.Hash{}) {
		return nil, nil, usage("get %q: a hash of %d bytes", in.Key, len(in.Hash))
	}
	data, err := c.node.getChunk(ctx, in.Key, chunk.Hash(in.Hash), in.Size)
	return nil, data, err
}
