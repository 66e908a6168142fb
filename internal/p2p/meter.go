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

// meteredHost is a host whose streams are counted, for a protocol that opens
// its own.
type meteredHost struct {
	host.Host
	meter *meter
}

func (h *meteredHost) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, p, protocols...)
	if err != nil {
		return nil, err
	}
	return &meteredStream{Stream: s, meter: h.meter}, nil
}

func (h *meteredHost) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) { handle(&meteredStream{Stream: s, meter: h.meter}) })
}
