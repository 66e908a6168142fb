package p2p

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
)

// A stranger whose inviter is behind a NAT asks a peer that it can reach to hand on what it has to
// say: its first message there names the inviter. What follows is a TLS handshake with the inviter,
// one request and one answer, which the peer in between carries and cannot read: a token is
// seen by whom it is for. Members hand on for strangers, to members, and nobody hands on twice.

const (
	forwardSuffix = "/admit/1"
	maxForwarded  = 16 << 10 // bytes each way: a handshake, and a request or an answer
)

// appendForward appends the message that asks for a way to another peer. A request to be let in does
// not begin with a zero.
func appendForward(b []byte, to peer.ID) []byte { return append(append(b, 0), to...) }

// parseForward reads whom a stranger asks for a way to; ok: that is what it asks.
func parseForward(message []byte) (to peer.ID, ok bool, err error) {
	if len(message) == 0 || message[0] != 0 {
		return "", false, nil
	}
	to, err = peer.IDFromBytes(message[1:])
	return to, true, err
}

// way leads to another peer: a stream, or a connection.
type way interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// wayConn is a way as TLS wants it.
type wayConn struct{ way }

var _ net.Conn = wayConn{}

// LocalAddr implements net.Conn.
func (wayConn) LocalAddr() net.Addr { return wayAddr{} }

// RemoteAddr implements net.Conn.
func (wayConn) RemoteAddr() net.Addr { return wayAddr{} }

type wayAddr struct{}

// Network implements net.Addr.
func (wayAddr) Network() string { return "p2p-circuit" }

// String implements net.Addr.
func (wayAddr) String() string { return "through a peer" }

// forward hands on what a stranger and another peer say to each other, until that peer has
// answered, or ctx ends.
func (a *admission) forward(ctx context.Context, stranger way, to peer.ID) error {
	h := a.host.Load()
	if h == nil {
		return errors.New("the host is not up yet")
	}
	s, err := h.openAdmission(ctx, to)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	end, _ := ctx.Deadline()
	if err := errors.Join(s.SetDeadline(end), writeMessage(stranger, nil)); err != nil {
		return err
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		if _, err := io.Copy(s, io.LimitReader(stranger, maxForwarded)); err != nil {
			_ = s.Reset()
			return
		}
		_ = s.CloseWrite() // the other side's answer is what counts
	}()
	_, err = io.Copy(stranger, io.LimitReader(s, maxForwarded))
	_ = s.Reset()
	err = errors.Join(err, stranger.SetReadDeadline(time.Now())) // ends the other copy
	<-heard
	return err
}

// openAdmission opens a way for a stranger to a member.
func (h *Host) openAdmission(ctx context.Context, to peer.ID) (network.Stream, error) {
	s, err := h.host.NewStream(ctx, to, h.forwards)
	if err != nil {
		return nil, fmt.Errorf("open a way for a stranger: %w", err)
	}
	if !h.isAdmitted(to) {
		return nil, errors.Join(errors.New("a way to no member"), s.Reset())
	}
	return s, nil
}

// serveForwarded serves a stranger whom another member hands on.
func (h *Host) serveForwarded(s network.Stream) {
	if !h.isAdmitted(s.Conn().RemotePeer()) {
		_ = s.Reset()
		return
	}
	leave, ok := h.admit.room.enter(time.Now(), func() { _ = s.Reset() })
	if !ok {
		_ = s.Reset()
		return
	}
	defer leave()
	defer func() { _ = s.Close() }() // what is written is all there is to say
	ctx, cancel := context.WithTimeout(h.admit.ctx, admissionTime)
	defer cancel()
	end, _ := ctx.Deadline()
	if s.SetDeadline(end) != nil {
		return
	}
	c, err := handshake(ctx, wayConn{s}, h.admit.identity, "", []string{admissionProtocol}, tls.Server)
	if err != nil {
		return
	}
	request, err := readMessage(c)
	if err != nil {
		return
	}
	if _, again, _ := parseForward(request); !again {
		_ = h.admit.answer(c, request, c.remote) // who does not get it asks again
	}
}

// atRelay takes an address apart that leads through a relay: the relay's own address, and its ID.
func atRelay(a ma.Multiaddr) (ma.Multiaddr, peer.ID, error) {
	before, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	at, id := peer.SplitAddr(before)
	if id == "" || len(at) == 0 || isRelayed(at) {
		return nil, "", fmt.Errorf("%s names no relay", a)
	}
	return at, id, nil
}

// askThrough asks a peer to be let in, by way of the one that s leads to.
func askThrough(ctx context.Context, s way, identity *ltls.Identity, to peer.ID, request []byte) ([]byte, error) {
	b, err := exchange(ctx, s, appendForward(nil, to))
	if err != nil {
		return nil, fmt.Errorf("the relay does not reach it: %w", err)
	}
	if len(b) > 0 {
		return nil, errors.New("the relay hands nothing on for strangers")
	}
	c, err := handshake(ctx, wayConn{s}, identity, to, []string{admissionProtocol}, tls.Client)
	if err != nil {
		return nil, fmt.Errorf("through the relay: %w", err)
	}
	return exchange(ctx, c, request)
}
