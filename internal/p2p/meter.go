package p2p

import (
	"context"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Traffic counts bytes on streams, above encryption and framing of the
// transport.
type Traffic struct {
	In, Out uint64
}

// Total returns the bytes of both directions.
func (t Traffic) Total() uint64 { return t.In + t.Out }

// meter counts the bytes of the streams that it is put around.
type meter struct {
	in, out atomic.Uint64
}

func (m *meter) traffic() Traffic { return Traffic{In: m.in.Load(), Out: m.out.Load()} }

// CallTraffic returns the bytes of calls and casts, so far.
func (h *Host) CallTraffic() Traffic { return h.callBytes.traffic() }

// KadTraffic returns the bytes of Kademlia, so far.
func (h *Host) KadTraffic() Traffic { return h.kadBytes.traffic() }

// meteredStream is a stream whose bytes are counted.
type meteredStream struct {
	network.Stream
	meter *meter
}

func (s *meteredStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	s.meter.in.Add(uint64(n))
	return n, err
}

func (s *meteredStream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	s.meter.out.Add(uint64(n))
	return n, err
}

// kadHost is the host as Kademlia has it: its streams are counted, and those of peers that
// are less than members are refused.
type kadHost struct {
	host.Host
	meter  *meter
	member func(peer.ID) bool
}

func (h *kadHost) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, p, protocols...)
	if err != nil {
		return nil, err
	}
	return &meteredStream{Stream: s, meter: h.meter}, nil
}

func (h *kadHost) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) {
		if !h.member(s.Conn().RemotePeer()) {
			_ = s.Reset()
			return
		}
		handle(&meteredStream{Stream: s, meter: h.meter})
	})
}
