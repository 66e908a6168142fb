package p2p

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
)

// Gate decides who may connect to a peer of a closed ring. Its methods are
// called from any goroutine, during handshakes, and must not block.
type Gate interface {
	// Pass is what this peer shows to others, up to 8 KiB.
	Pass() []byte
	// Check decides what a peer may do that shows pass, which is empty if it shows
	// none; an error keeps it out. The transport has proven the peer's ID.
	Check(id chord.PeerID, pass []byte) (rpc.Role, error)
	// Admit answers a request of anybody at all to be let in. Request and answer
	// have up to 4 KiB.
	Admit(id chord.PeerID, request []byte) []byte
}

// passExtension is where a TLS certificate holds the pass of the peer.
var passExtension = asn1.ObjectIdentifier{2, 25, 1667788658, 1}

const maxPass = 8 << 10

// gatekeeper asks the Gate about each connection, after the handshake that
// proves the peer's ID and before there can be a stream. It remembers what
// connected peers may do.
type gatekeeper struct {
	gate      Gate
	connected func(peer.ID) bool

	mu       sync.Mutex
	rechecks int               // so many were begun
	shown    map[peer.ID]shown // of peers that were let in, and of those dialled that were not
}

// shown is what a peer showed last.
type shown struct {
	pass []byte
	role rpc.Role
	err  error // why it was kept out
	at   time.Time
}

const (
	// maxShown is how many peers are remembered before those go that are not
	// connected, nor about to be. All had a pass, or were dialled.
	maxShown    = 4096
	handshaking = 30 * time.Second
)

func newGatekeeper(g Gate, connected func(peer.ID) bool) *gatekeeper {
	return &gatekeeper{gate: g, connected: connected, shown: make(map[peer.ID]shown)}
}

// check asks the gate about a peer by the certificate that it showed. Why
// strangers that dial are kept out is not remembered, there can be any number of them.
func (k *gatekeeper) check(id peer.ID, certificates []*x509.Certificate, dialled bool) error {
	var pass []byte
	for _, c := range certificates {
		for _, e := range c.Extensions {
			if e.Id.Equal(passExtension) && len(e.Value) <= maxPass {
				pass = e.Value
			}
		}
	}
	role, err := k.judge(id, pass)
	defer k.mu.Unlock()
	if err == nil || dialled {
		k.makeRoom()
		k.shown[id] = shown{pass: pass, role: role, err: err, at: time.Now()}
	}
	if err != nil {
		return &rpc.Error{Code: rpc.CodeRefused, Message: fmt.Sprintf("the gate refuses %s: %v", FormatPeerID(chord.PeerID(id)), err)}
	}
	return nil
}

// judge asks the gate about a peer, and returns with the lock. It asks again if a recheck has begun
// meanwhile: that one does not see the peer, and the gate may have changed its mind.
func (k *gatekeeper) judge(id peer.ID, pass []byte) (rpc.Role, error) {
	k.mu.Lock()
	for {
		began := k.rechecks
		k.mu.Unlock()
		role, err := k.gate.Check(chord.PeerID(id), pass)
		k.mu.Lock()
		if k.rechecks == began {
			return role, err
		}
	}
}

// role tells what a peer may do with whom a stream was opened.
func (k *gatekeeper) role(id peer.ID) (rpc.Role, error) {
	k.mu.Lock()
	s, ok := k.shown[id]
	k.mu.Unlock()
	if !ok {
		return rpc.RoleNone, &rpc.Error{Code: rpc.CodeRefused, Message: "no pass was shown"}
	}
	return s.role, s.err
}

// known tells what a peer may do that has shown a pass.
func (k *gatekeeper) known(id peer.ID) (rpc.Role, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.shown[id]
	return s.role, ok
}

// pass returns what a peer showed last, nil if nothing is remembered.
func (k *gatekeeper) pass(id peer.ID) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.shown[id].pass
}

// refusal returns why a peer was kept out since a time, nil if it was not.
func (k *gatekeeper) refusal(id peer.ID, since time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.shown[id]; ok && !s.at.Before(since) {
		return s.err
	}
	return nil
}

// makeRoom forgets peers that are not connected, if there are too many, under
// the lock.
func (k *gatekeeper) makeRoom() {
	if len(k.shown) < maxShown {
		return
	}
	for id, s := range k.shown {
		if time.Since(s.at) > handshaking && !k.connected(id) {
			delete(k.shown, id)
		}
	}
}

// recheck asks the gate again about all that it let in, and returns those that
// it would keep out now, and those that are connected though it keeps them out: an earlier recheck
// found no connection yet.
func (k *gatekeeper) recheck() []peer.ID {
	var out []peer.ID
	k.mu.Lock()
	k.rechecks++
	passes := make(map[peer.ID][]byte, len(k.shown))
	for id, s := range k.shown {
		if s.err == nil {
			passes[id] = s.pass
		} else if k.connected(id) {
			out = append(out, id)
		}
	}
	k.mu.Unlock()
	for id, pass := range passes {
		role, err := k.gate.Check(chord.PeerID(id), pass)
		if err == nil {
			continue
		}
		k.mu.Lock()
		k.shown[id] = shown{pass: pass, role: role, err: err, at: time.Now()}
		k.mu.Unlock()
		out = append(out, id)
	}
	return out
}

// identityOption makes a TLS identity show the gate's pass. The certificate
// is valid at any time: how long a pass is valid is the gate's matter, which says so
// in words.
func (k *gatekeeper) identityOption() (ltls.IdentityOption, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return ltls.WithCertTemplate(&x509.Certificate{
		SerialNumber:    serial,
		NotBefore:       time.Unix(0, 0),
		NotAfter:        time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		Subject:         pkix.Name{SerialNumber: serial.String()},
		ExtraExtensions: []pkix.Extension{{Id: passExtension, Value: k.gate.Pass()}},
	}), nil
}

// connGater is libp2p's question about connections. QUIC asks it at the end of
// the handshake, when the certificate is known; those of TCP and relays were checked by
// gatedTLS.
type connGater struct {
	keeper *gatekeeper // nil in an open ring
	ranges *ranges
}

// InterceptSecured implements connmgr.ConnectionGater.
func (g connGater) InterceptSecured(dir network.Direction, id peer.ID, c network.ConnMultiaddrs) bool {
	if g.keeper == nil {
		return true
	}
	if isRelayed(c.RemoteMultiaddr()) {
		return true
	}
	var conn *quic.Conn
	if as, ok := c.(interface{ As(any) bool }); ok && as.As(&conn) {
		return g.keeper.check(id, conn.ConnectionState().TLS.PeerCertificates, dir == network.DirOutbound) == nil
	}
	return hasProtocol(c.RemoteMultiaddr(), ma.P_TCP)
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (connGater) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g connGater) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool { return g.ranges.mayDial(a) }

// InterceptAccept implements connmgr.ConnectionGater.
func (connGater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptUpgraded implements connmgr.ConnectionGater.
func (connGater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
