package p2p

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// gatedTLS is libp2p's TLS for TCP, with the gate behind the handshake: libp2p's
// own shows a certificate of its making only, and tells nobody the other side's.
// What travels is the same.
type gatedTLS struct {
	id       protocol.ID
	local    peer.ID
	identity *ltls.Identity
	protos   []string // the multiplexers, then TLS without one
	keeper   *gatekeeper
}

var _ sec.SecureTransport = (*gatedTLS)(nil)

// newTLS returns the constructor that libp2p makes its TLS with.
func (k *gatekeeper) newTLS() any {
	return func(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*gatedTLS, error) {
		local, err := peer.IDFromPrivateKey(key)
		if err != nil {
			return nil, err
		}
		option, err := k.identityOption()
		if err != nil {
			return nil, err
		}
		identity, err := ltls.NewIdentity(key, option)
		if err != nil {
			return nil, err
		}
		t := &gatedTLS{id: id, local: local, identity: identity, keeper: k}
		for _, m := range muxers {
			t.protos = append(t.protos, string(m.ID))
		}
		t.protos = append(t.protos, noMuxer)
		return t, nil
	}
}

// noMuxer is the application protocol of a handshake that settles no multiplexer.
const noMuxer = "libp2p"

// ID implements sec.SecureTransport.
func (t *gatedTLS) ID() protocol.ID { return t.id }

// SecureInbound implements sec.SecureTransport.
func (t *gatedTLS) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return t.secure(ctx, insecure, p, false)
}

// SecureOutbound implements sec.SecureTransport.
func (t *gatedTLS) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return t.secure(ctx, insecure, p, true)
}

func (t *gatedTLS) secure(ctx context.Context, insecure net.Conn, p peer.ID, dialled bool) (sec.SecureConn, error) {
	side := tls.Server
	if dialled {
		side = tls.Client
	}
	c, err := handshake(ctx, insecure, t.identity, p, t.protos, side)
	if err == nil {
		c.local = t.local
		err = t.keeper.check(c.remote, c.ConnectionState().PeerCertificates, dialled)
	}
	if err != nil {
		return nil, errors.Join(err, insecure.Close())
	}
	return c, nil
}

// handshake secures a connection with a peer, which may be any if p is empty.
func handshake(ctx context.Context, insecure net.Conn, identity *ltls.Identity, p peer.ID, protos []string, side func(net.Conn, *tls.Config) *tls.Conn) (*tlsConn, error) {
	config, keys := identity.ConfigForPeer(p)
	config.NextProtos = protos
	c := &tlsConn{Conn: side(insecure, config)}
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	select {
	case c.key = <-keys: // it was sent before the handshake ended
	default:
	}
	if c.key == nil {
		return nil, errors.New("handshake proved no peer")
	}
	var err error
	c.remote, err = peer.IDFromPublicKey(c.key)
	return c, err
}

// tlsConn is a secured connection.
type tlsConn struct {
	*tls.Conn
	local, remote peer.ID
	key           crypto.PubKey
}

var _ sec.SecureConn = (*tlsConn)(nil)

// LocalPeer implements network.ConnSecurity.
func (c *tlsConn) LocalPeer() peer.ID { return c.local }

// RemotePeer implements network.ConnSecurity.
func (c *tlsConn) RemotePeer() peer.ID { return c.remote }

// RemotePublicKey implements network.ConnSecurity.
func (c *tlsConn) RemotePublicKey() crypto.PubKey { return c.key }

// ConnState implements network.ConnSecurity.
func (c *tlsConn) ConnState() network.ConnectionState {
	muxer := protocol.ID(c.ConnectionState().NegotiatedProtocol)
	if muxer == noMuxer {
		muxer = ""
	}
	return network.ConnectionState{StreamMultiplexer: muxer, UsedEarlyMuxerNegotiation: muxer != ""}
}
