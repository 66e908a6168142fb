package p2p

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	lquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// introduction is the one protocol that is the same in all rings: a newcomer
// opens a stream, and the peer writes what its ring is and closes it.
const introduction protocol.ID = "/chorus/ring/1"

const (
	maxIntroduction     = 4 << 10
	introductionTimeout = 5 * time.Second
)

// Introduce answers newcomers that ask which ring this is with text.
func (h *Host) Introduce(text []byte) {
	h.host.SetStreamHandler(introduction, func(s network.Stream) {
		defer s.Close()
		if s.SetDeadline(time.Now().Add(introductionTimeout)) != nil {
			return
		}
		_, _ = s.Write(text) // whoever left without listening misses nothing else
	})
}

// AskRing asks the peer at a multiaddr, which ends in /p2p/ and its ID, what its
// ring is, and returns the text that it introduces its ring with. It speaks
// from h or, if h is nil, from a host of its own that lasts as long as the call.
func AskRing(ctx context.Context, h host.Host, addr string) ([]byte, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, fmt.Errorf("ask %q: %w", addr, err)
	}
	if h == nil {
		h, err = libp2p.New(
			libp2p.NoListenAddrs, libp2p.NoTransports,
			libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(lquic.NewTransport),
			libp2p.Security(ltls.ID, ltls.New), libp2p.SwarmOpts(swarm.WithDialRanker(rankDials)),
			libp2p.EnableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.Ping(false),
		)
		if err != nil {
			return nil, fmt.Errorf("ask %q: %w", addr, err)
		}
		defer h.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, introductionTimeout)
	defer cancel()
	if err := h.Connect(ctx, *info); err != nil {
		return nil, fmt.Errorf("ask %q: %w", addr, err)
	}
	s, err := h.NewStream(ctx, info.ID, introduction)
	if err != nil {
		return nil, fmt.Errorf("ask %q: %w", addr, err)
	}
	defer s.Close()
	if err := s.SetDeadline(time.Now().Add(introductionTimeout)); err != nil {
		return nil, fmt.Errorf("ask %q: %w", addr, err)
	}
	text, err := io.ReadAll(io.LimitReader(s, maxIntroduction+1))
	if err != nil {
		return nil, fmt.Errorf("ask %q: %w", addr, err)
	}
	if len(text) > maxIntroduction {
		return nil, fmt.Errorf("ask %q: an introduction of more than %d bytes", addr, maxIntroduction)
	}
	return text, nil
}
