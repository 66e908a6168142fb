package callbench

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// Transports that can be measured, by name, with where they listen.
var listenOn = map[string]string{
	"tcp":  "/ip4/127.0.0.1/tcp/0",
	"quic": "/ip4/127.0.0.1/udp/0/quic-v1",
}

const (
	method              = rpc.Method(1)
	frames  protocol.ID = "/chorus/bench/frames/1"
	maxSize             = 512 << 10
)

// Serve runs the server of a benchmark over the named transport: it writes its
// address as one line to out and serves until in ends.
func Serve(ctx context.Context, transport string, in io.Reader, out io.Writer) error {
	h, err := newServer(ctx, transport)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintln(out, address(h)); err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if closeErr := h.Close(); err == nil {
		err = closeErr
	}
	return err
}

func newServer(ctx context.Context, transport string) (*p2p.Host, error) {
	registry := rpc.NewRegistry()
	registry.Handle(method, rpc.Spec{Name: "bench.echo", MaxBytes: maxSize, Inline: true},
		func(_ context.Context, req *rpc.Request) ([]byte, error) { return req.Payload, nil })
	h, err := newHost(ctx, transport, registry)
	if err != nil {
		return nil, err
	}
	h.Libp2p().SetStreamHandler(frames, func(s network.Stream) { echoFrames(s) })
	return h, nil
}

func newHost(ctx context.Context, transport string, registry *rpc.Registry) (*p2p.Host, error) {
	listen, ok := listenOn[transport]
	if !ok {
		return nil, fmt.Errorf("transport %q is not tcp or quic", transport)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return p2p.New(ctx, p2p.Config{
		Key:        key,
		Listen:     []string{listen},
		Ring:       []byte("bench"),
		Registry:   registry,
		DisableKad: true,
	})
}

func address(h *p2p.Host) string {
	return h.Addrs()[0] + "/p2p/" + p2p.FormatPeerID(h.ID())
}

// A plain frame is its length, a tag that comes back, and that many bytes.
const frameHeader = 8

// echoFrames sends every frame back, and writes when nothing more is at hand to
// be read.
func echoFrames(s network.Stream) {
	defer s.Close()
	in, out := bufio.NewReaderSize(s, 64<<10), bufio.NewWriterSize(s, 64<<10)
	frame := make([]byte, frameHeader+maxSize)
	for {
		if _, err := io.ReadFull(in, frame[:frameHeader]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(frame))
		if n > maxSize {
			return
		}
		body := frame[:frameHeader+n]
		if _, err := io.ReadFull(in, body[frameHeader:]); err != nil {
			return
		}
		if _, err := out.Write(body); err != nil {
			return
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}
