package overlay

import (
	"context"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// streamCalls are those of large values. A client cuts a value into chunks, and puts it
// together, by itself; the peer keeps nothing between two of its calls, so that a guest hands
// them on as they are.
func (d *desk) streamCalls() []deskCall {
	list := []deskCall{
		answers(d, wire.MethodCtlBegin, rpc.Spec{Name: "begin", Role: rpc.RoleMember}, d.begin),
		answers(d, wire.MethodCtlPutChunk, rpc.Spec{Name: "putchunk", Role: rpc.RoleMember, MaxBytes: chunk.Size + rpc.DefaultMaxBytes}, d.putChunk),
		answers(d, wire.MethodCtlCommit, rpc.Spec{Name: "commit", Role: rpc.RoleMember, MaxBytes: maxPutRequest}, d.commit),
		answers(d, wire.MethodCtlOpen, rpc.Spec{Name: "open", Role: rpc.RoleRead}, d.open),
		answers(d, wire.MethodCtlGetChunk, rpc.Spec{Name: "getchunk", Role: rpc.RoleRead}, d.getChunk),
	}
	if d.node.guest != nil {
		for i := range list {
			list[i].handle = d.node.guest.relay
		}
	}
	return list
}

func (d *desk) begin(ctx context.Context, in wire.ControlPut, _ []byte) (any, []byte, error) {
	return nil, nil, d.node.begin(ctx, in.Key, putOptionsOf(in))
}

func (d *desk) putChunk(ctx context.Context, in wire.ControlPut, body []byte) (any, []byte, error) {
	kept, err := d.node.putChunk(ctx, in.Key, Level(in.W), body)
	return kept, nil, err
}

func (d *desk) commit(ctx context.Context, in wire.ControlCommit, body []byte) (any, []byte, error) {
	m, err := chunk.ParseManifest(body)
	if err != nil {
		return nil, nil, usage("put %q: %w", in.Key, err)
	}
	up := client.Upload{Key: in.Key, Level: Level(in.W), Manifest: m, Oldest: in.Oldest, Reused: in.Reused}
	receipt, err := d.node.commit(ctx, &up, putOptionsOf(in.ControlPut))
	return receipt, nil, err
}

func (d *desk) open(ctx context.Context, in wire.ControlGet, _ []byte) (any, []byte, error) {
	return d.node.open(ctx, in.Key, []GetOption{WithR(Level(in.R))})
}

func (d *desk) getChunk(ctx context.Context, in wire.ControlChunk, _ []byte) (any, []byte, error) {
	if len(in.Hash) != len(chunk.Hash{}) {
		return nil, nil, usage("get %q: a hash of %d bytes", in.Key, len(in.Hash))
	}
	data, err := d.node.getChunk(ctx, in.Key, chunk.Hash(in.Hash), in.Size)
	return nil, data, err
}
