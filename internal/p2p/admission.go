package p2p

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	lquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"

	"github.com/chorus-net/chorus/chord"
)

// admissionProtocol is what a stranger asks a peer of a closed ring for, to be
// let in: on TCP in the place of a security protocol, on QUIC in that of the application
// protocol. Either way it gets TLS, one request and one answer, and no
// connection that libp2p would know of.
const admissionProtocol = "/chorus/admit/1"

const (
	maxAdmission  = 4 << 10 // bytes of a request, and of an answer
	admissionTime = 5 * time.Second
)

// admission serves strangers. It owns a goroutine for each address that QUIC
// listens on, and one for each stranger there.
type admission struct {
	keeper   *gatekeeper
	identity *ltls.Identity
	room     room
	host     atomic.Pointer[Host] // nil until it is up

	ctx       context.Context //nolint:containedctx // ends with close
	cancel    context.CancelFunc
	listeners []quicreuse.Listener
	wg        sync.WaitGroup
}

var _ sec.SecureTransport = (*admission)(nil)

func newAdmission(k *gatekeeper, key crypto.PrivKey) (*admission, error) {
	identity, err := ltls.NewIdentity(key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	a := &admission{keeper: k, identity: identity}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a, nil
}

// options are libp2p's security, and QUIC, behind the gate.
func (a *admission) options() ([]libp2p.Option, error) {
	show, err := a.keeper.identityOption()
	if err != nil {
		return nil, err
	}
	return []libp2p.Option{
		libp2p.Transport(lquic.NewTransport, lquic.WithTLSIdentityOption(show)),
		libp2p.Security(ltls.ID, a.keeper.newTLS()),
		libp2p.Security(admissionProtocol, func(protocol.ID) *admission { return a }),
	}, nil
}

// errAdmission ends what libp2p takes for the making of a connection.
var errAdmission = errors.New("admission leads to no connection")

// ID implements sec.SecureTransport.
func (a *admission) ID() protocol.ID { return admissionProtocol }

// SecureOutbound implements sec.SecureTransport.
func (a *admission) SecureOutbound(_ context.Context, insecure net.Conn, _ peer.ID) (sec.SecureConn, error) {
	return nil, errors.Join(errAdmission, insecure.Close())
}

// SecureInbound implements sec.SecureTransport: it serves the stranger whole.
func (a *admission) SecureInbound(ctx context.Context, insecure net.Conn, _ peer.ID) (sec.SecureConn, error) {
	defer insecure.Close()
	leave, ok := a.room.enter(time.Now(), func() { _ = insecure.Close() })
	if !ok {
		return nil, errAdmission
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, admissionTime)
	defer cancel()
	if err := insecure.SetDeadline(time.Now().Add(admissionTime)); err != nil {
		return nil, errors.Join(errAdmission, err)
	}
	c, err := handshake(ctx, insecure, a.identity, "", []string{admissionProtocol}, tls.Server)
	if err != nil {
		return nil, errors.Join(errAdmission, err)
	}
	return nil, errors.Join(errAdmission, a.serve(ctx, c, c.remote), c.Close())
}

// serve reads what a stranger wants: an answer of the gate's, or a way to another peer.
func (a *admission) serve(ctx context.Context, s way, id peer.ID) error {
	request, err := readMessage(s)
	if err != nil {
		return err
	}
	to, elsewhere, err := parseForward(request)
	switch {
	case err != nil:
		return err
	case elsewhere:
		return a.forward(ctx, s, to)
	default:
		return a.answer(s, request, id)
	}
}

// answer asks the gate, and writes what it answers.
func (a *admission) answer(w io.Writer, request []byte, id peer.ID) error {
	return writeMessage(w, a.keeper.gate.Admit(chord.PeerID(id), request))
}

// listenQUIC serves strangers at the addresses that QUIC listens on.
func (a *admission) listenQUIC(cm *quicreuse.ConnManager, addrs []ma.Multiaddr) error {
	config := &tls.Config{
		NextProtos: []string{admissionProtocol},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c, _ := a.identity.ConfigForPeer("")
			c.NextProtos = []string{admissionProtocol}
			return c, nil
		},
	}
	for _, addr := range addrs {
		if !hasProtocol(addr, ma.P_QUIC_V1) {
			continue
		}
		l, err := cm.ListenQUIC(addr, config, func(*quic.Conn, uint64) bool { return false })
		if err != nil {
			return fmt.Errorf("serve admission: %w", err)
		}
		a.listeners = append(a.listeners, l)
		a.wg.Go(func() { a.accept(l) })
	}
	return nil
}

func (a *admission) accept(l quicreuse.Listener) {
	for {
		c, err := l.Accept(a.ctx)
		if err != nil {
			return
		}
		refuse := func() { _ = c.CloseWithError(quic.ApplicationErrorCode(network.ConnResourceLimitExceeded), "") }
		leave, ok := a.room.enter(time.Now(), refuse)
		if !ok {
			refuse()
			continue
		}
		a.wg.Go(func() {
			defer leave()
			a.serveQUIC(c)
		})
	}
}

// serveQUIC serves a stranger, who has the first of its streams for it.
func (a *admission) serveQUIC(c *quic.Conn) {
	ctx, cancel := context.WithTimeout(a.ctx, admissionTime)
	defer cancel()
	defer func() { _ = c.CloseWithError(0, "") }()
	key, err := ltls.PubKeyFromCertChain(c.ConnectionState().TLS.PeerCertificates)
	if err != nil {
		return
	}
	id, err := peer.IDFromPublicKey(key)
	if err != nil {
		return
	}
	s, err := c.AcceptStream(ctx)
	if err != nil {
		return
	}
	end, _ := ctx.Deadline()
	if s.SetDeadline(end) != nil || a.serve(ctx, s, id) != nil || s.Close() != nil {
		return
	}
	select { // the stranger closes when it has read the answer
	case <-c.Context().Done():
	case <-ctx.Done():
	}
}

// close ends what listenQUIC started.
func (a *admission) close() {
	a.cancel()
	for _, l := range a.listeners {
		_ = l.Close() // the socket below goes with the host
	}
	a.wg.Wait()
}

// ErrNoAdmission reports a peer that lets nobody in by request: its ring is
// open, or it is no peer of Chorus.
var ErrNoAdmission = errors.New("no admission there")

// AskAdmission sends a request to be let in to the peer at a multiaddr, which
// ends in /p2p/ and its ID, and returns its answer. If that leads through a relay, a member of
// the ring hands on what is said, without being able to read it. key proves who asks. It
// takes 5 s at most.
func AskAdmission(ctx context.Context, key crypto.PrivKey, addr string, request []byte) ([]byte, error) {
	answer, err := askAdmission(ctx, key, addr, request)
	if err != nil {
		return nil, fmt.Errorf("ask %q to be let in: %w", addr, err)
	}
	return answer, nil
}

func askAdmission(ctx context.Context, key crypto.PrivKey, addr string, request []byte) ([]byte, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, err
	}
	if len(info.Addrs) != 1 {
		return nil, errors.New("the address says nowhere")
	}
	identity, err := ltls.NewIdentity(key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, admissionTime)
	defer cancel()
	id, at := info.ID, info.Addrs[0]
	talk := func(s way) ([]byte, error) { return exchange(ctx, s, request) }
	if isRelayed(at) {
		if at, id, err = atRelay(at); err != nil {
			return nil, err
		}
		talk = func(s way) ([]byte, error) { return askThrough(ctx, s, identity, info.ID, request) }
	}
	if hasProtocol(at, ma.P_QUIC_V1) {
		return askQUIC(ctx, identity, id, at, talk)
	}
	return askTCP(ctx, identity, id, at, talk)
}

// exchange sends a request and returns its answer, by the deadline of ctx.
func exchange(ctx context.Context, s interface {
	io.ReadWriter
	SetDeadline(time.Time) error
}, request []byte,
) ([]byte, error) {
	end, _ := ctx.Deadline()
	if err := s.SetDeadline(end); err != nil {
		return nil, err
	}
	if err := writeMessage(s, request); err != nil {
		return nil, err
	}
	return readMessage(s)
}

// readMessage reads a message of up to 4 KiB behind its length in two bytes.
func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(length[:])
	if n > maxAdmission {
		return nil, fmt.Errorf("a message of %d bytes, at most %d", n, maxAdmission)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeMessage(w io.Writer, b []byte) error {
	if len(b) > maxAdmission {
		return fmt.Errorf("a message of %d bytes, at most %d", len(b), maxAdmission)
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}
