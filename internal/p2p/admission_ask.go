package p2p

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"
)

func askTCP(ctx context.Context, identity *ltls.Identity, id peer.ID, addr ma.Multiaddr, talk func(way) ([]byte, error)) ([]byte, error) {
	network, at, err := manet.DialArgs(addr)
	if err != nil {
		return nil, err
	}
	insecure, err := new(net.Dialer).DialContext(ctx, network, at)
	if err != nil {
		return nil, err
	}
	defer insecure.Close()
	end, _ := ctx.Deadline()
	if err := insecure.SetDeadline(end); err != nil {
		return nil, err
	}
	if err := multistream.SelectProtoOrFail(protocol.ID(admissionProtocol), insecure); err != nil {
		var unsupported multistream.ErrNotSupported[protocol.ID]
		if errors.As(err, &unsupported) {
			return nil, ErrNoAdmission
		}
		return nil, err
	}
	c, err := handshake(ctx, insecure, identity, id, []string{admissionProtocol}, tls.Client)
	if err != nil {
		return nil, err
	}
	return talk(c)
}

func askQUIC(ctx context.Context, identity *ltls.Identity, id peer.ID, addr ma.Multiaddr, talk func(way) ([]byte, error)) ([]byte, error) {
	_, at, err := manet.DialArgs(addr)
	if err != nil {
		return nil, err
	}
	config, _ := identity.ConfigForPeer(id)
	config.NextProtos = []string{admissionProtocol}
	c, err := quic.DialAddr(ctx, at, config, nil)
	if err != nil {
		var refused *quic.TransportError
		if errors.As(err, &refused) && refused.Remote {
			return nil, ErrNoAdmission // it knows no such protocol
		}
		return nil, err
	}
	defer func() { _ = c.CloseWithError(0, "") }()
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return talk(s)
}
