package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"
)

// Dialling back tells a peer whether others can open connections to it. The peer says which
// ports it listens on; the one that is asked sees from which IP the question came, tries those
// ports there, and answers with what it saw and where the peer proved its ID. So nobody can
// be made to dial anybody but who asks. libp2p's own AutoNAT dials back under a fresh identity,
// which no gate lets in, and takes that for a wall; a TLS handshake that proves the other side
// needs no pass.
//
// Question and answer are multiaddrs, one a line: those that the peer listens on, whose IPs do
// not count; and what it was seen at, then those where it was reached.

const (
	dialBackSuffix = "/reach/1"
	maxPorts       = 4               // that are tried for one question
	maxDialBacks   = 8               // questions at a time; more are turned away
	dialBackTime   = 2 * time.Second // to try all ports of a question
	dialBackAnswer = 5 * time.Second // to ask and hear the answer
)

// dialBack answers other peers' questions.
type dialBack struct {
	ctx    context.Context //nolint:containedctx // the host's life
	slots  chan struct{}
	member func(peer.ID) bool

	mu    sync.Mutex
	asked map[peer.ID]struct{} // whose question is being answered
}

func newDialBack(ctx context.Context, member func(peer.ID) bool) *dialBack {
	return &dialBack{ctx: ctx, slots: make(chan struct{}, maxDialBacks), member: member, asked: make(map[peer.ID]struct{})}
}

// serve answers one question.
func (d *dialBack) serve(s network.Stream) {
	id := s.Conn().RemotePeer()
	if !d.member(id) || isRelayed(s.Conn().RemoteMultiaddr()) || !d.enter(id) {
		_ = s.Reset()
		return
	}
	defer d.leave(id)
	if err := d.answer(s, id); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close() // the answer is written
}

func (d *dialBack) answer(s network.Stream, id peer.ID) error {
	if err := s.SetDeadline(time.Now().Add(dialBackAnswer)); err != nil {
		return err
	}
	question, err := readMessage(s)
	if err != nil {
		return err
	}
	listens, err := parseLines(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(d.ctx, dialBackTime)
	defer cancel()
	seen := s.Conn().RemoteMultiaddr()
	return writeMessage(s, appendLines(nil, append([]ma.Multiaddr{seen}, reached(ctx, id, seen, listens)...)))
}

func (d *dialBack) enter(id peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.asked[id]; ok {
		return false
	}
	select {
	case d.slots <- struct{}{}:
		d.asked[id] = struct{}{}
		return true
	default:
		return false
	}
}

func (d *dialBack) leave(id peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.asked, id)
	<-d.slots
}

// reached tries the ports of listens at the IP of seen, and returns the addresses where the peer
// proved its ID.
func reached(ctx context.Context, id peer.ID, seen ma.Multiaddr, listens []ma.Multiaddr) []ma.Multiaddr {
	var candidates []ma.Multiaddr
	for _, l := range listens {
		if a := at(seen, l); a != nil && len(candidates) < maxPorts {
			candidates = append(candidates, a)
		}
	}
	fine := make([]bool, len(candidates))
	var wg sync.WaitGroup
	for i, a := range candidates {
		wg.Go(func() { fine[i] = probe(ctx, id, a) == nil })
	}
	wg.Wait()
	var out []ma.Multiaddr
	for i, a := range candidates {
		if fine[i] {
			out = append(out, a)
		}
	}
	return out
}

// at returns the address of listen's port at the IP of seen; nil if those do not go together,
// or if it is neither TCP nor QUIC.
func at(seen, listen ma.Multiaddr) ma.Multiaddr {
	if len(seen) == 0 || len(listen) < 2 || seen[0].Protocol().Code != listen[0].Protocol().Code {
		return nil
	}
	port := listen[1:]
	switch {
	case len(port) == 1 && port[0].Protocol().Code == ma.P_TCP:
	case len(port) == 2 && port[0].Protocol().Code == ma.P_UDP && port[1].Protocol().Code == ma.P_QUIC_V1:
	default:
		return nil
	}
	if c := seen[0].Protocol().Code; c != ma.P_IP4 && c != ma.P_IP6 {
		return nil
	}
	return append(ma.Multiaddr{seen[0]}, port...)
}

// probe makes a TLS handshake with the peer at an address, from a fresh socket and under an
// identity that is nobody's. It opens no connection of libp2p's.
func probe(ctx context.Context, id peer.ID, addr ma.Multiaddr) error {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return err
	}
	identity, err := ltls.NewIdentity(key)
	if err != nil {
		return err
	}
	network, host, err := manet.DialArgs(addr)
	if err != nil {
		return err
	}
	if hasProtocol(addr, ma.P_QUIC_V1) {
		config, _ := identity.ConfigForPeer(id)
		config.NextProtos = []string{"libp2p"}
		c, err := quic.DialAddr(ctx, host, config, nil)
		if err != nil {
			return err
		}
		return c.CloseWithError(0, "")
	}
	c, err := new(net.Dialer).DialContext(ctx, network, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return err
		}
	}
	if err := multistream.SelectProtoOrFail(protocol.ID(ltls.ID), c); err != nil {
		return err
	}
	_, err = handshake(ctx, c, identity, id, []string{noMuxer}, tls.Client)
	return err
}

// verdict is what a peer answered that was asked to dial back.
type verdict struct {
	at   time.Time
	seen ma.Multiaddr   // where it sees this host
	open []ma.Multiaddr // where it reached this host
}

// askDialBack asks a peer that is connected to dial back.
func (h *Host) askDialBack(ctx context.Context, id peer.ID) (verdict, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "dial back"), dialBackAnswer)
	defer cancel()
	s, err := h.host.NewStream(ctx, id, h.reach.protocol)
	if err != nil {
		return verdict{}, fmt.Errorf("ask to dial back: %w", err)
	}
	v, err := h.exchangeDialBack(ctx, s)
	if err != nil {
		_ = s.Reset()
		return verdict{}, fmt.Errorf("ask to dial back: %w", err)
	}
	_ = s.Close() // all is said
	return v, nil
}

func (h *Host) exchangeDialBack(ctx context.Context, s network.Stream) (verdict, error) {
	if isRelayed(s.Conn().RemoteMultiaddr()) {
		return verdict{}, errors.New("a relay is in between")
	}
	b, err := exchange(ctx, s, appendLines(nil, h.host.Network().ListenAddresses()))
	if err != nil {
		return verdict{}, err
	}
	lines, err := parseLines(b)
	if err != nil {
		return verdict{}, err
	}
	if len(lines) == 0 || len(lines) > 1+maxPorts {
		return verdict{}, fmt.Errorf("an answer of %d addresses", len(lines))
	}
	v := verdict{at: time.Now(), seen: lines[0]}
	for _, a := range lines[1:] {
		if at(a, a) != nil { // it is of a form that can have been tried
			v.open = append(v.open, a)
		}
	}
	return v, nil
}

// maxLines bounds the addresses of a question or an answer.
const maxLines = 64

func parseLines(b []byte) ([]ma.Multiaddr, error) {
	var list []ma.Multiaddr
	for line := range bytes.Lines(b) {
		if len(list) == maxLines {
			return nil, fmt.Errorf("more than %d addresses", maxLines)
		}
		a, err := ma.NewMultiaddr(string(bytes.TrimSuffix(line, []byte{'\n'})))
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// appendLines writes as many addresses as fit a message.
func appendLines(b []byte, addrs []ma.Multiaddr) []byte {
	for _, a := range addrs[:min(len(addrs), maxLines)] {
		line := a.String()
		if len(b)+len(line)+1 > maxAdmission {
			break
		}
		b = append(append(b, line...), '\n')
	}
	return b
}

// isRelayed reports whether an address leads through a third peer.
func isRelayed(a ma.Multiaddr) bool { return hasProtocol(a, ma.P_CIRCUIT) }
