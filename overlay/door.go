package overlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// door is who may be in a closed ring, as far as this peer knows. Package pass
// decides; the door keeps what it decides by, in the home if there is one.
type door struct {
	ring    bootstrap.Ring
	home    *bootstrap.Home // nil in memory
	key     passes.Key      // this peer's
	sign    passes.Sign
	now     func() time.Time
	log     *slog.Logger
	strange atomic.Bool                     // a peer showed a pass of a key that does not count here
	refused atomic.Pointer[bootstrap.Error] // what others hold against this peer; nil: nothing
	// announce is told of decrees that this peer made. It is set before the gate opens.
	announce func([]passes.Decree)

	// Tokens: whoever holds one may save decrees, or replace the ring's key.
	saving, rotating chan struct{}
	unsaved          bool // decrees are in force that could not be kept; saving's

	mu        sync.RWMutex
	ringKey   crypto.PrivKey // nil where the ring's key is not
	authority *passes.Authority
	decreed   []passes.Decree // all that the authority knows, which nobody changes
	digested  [32]byte        // its digest
	chain     passes.Chain    // this peer's
	spent     *passes.Spent
	unspent   bool // the home does not know all of spent
}

var _ p2p.Gate = (*door)(nil)

// openDoor makes the door of a closed ring from what the home keeps.
func (n *Node) openDoor(ring bootstrap.Ring) (*door, error) {
	d, err := n.newDoor(ring)
	if err != nil {
		return nil, err
	}
	if d.authority, err = n.home.Authority(ring); err != nil {
		return nil, err
	}
	d.list()
	if d.chain, err = n.home.Pass(); err != nil {
		return nil, err
	}
	if d.spent, err = n.home.Spent(); err != nil {
		return nil, err
	}
	if d.ringKey, err = n.home.RingKey(d.authority.Root()); err != nil {
		return nil, err
	}
	return d, nil
}

// newDoor makes the door of a ring that this peer has just learnt of.
func (n *Node) newDoor(ring bootstrap.Ring) (*door, error) {
	if n.cfg.Host != nil {
		return nil, &bootstrap.Error{
			Code: bootstrap.CodeNotAvailable, Message: "a closed ring's gate stands in the transports, which a host that is given has made already",
			Fix: "leave Config.Host out, or use an open ring",
		}
	}
	key, err := bootstrap.KeyOf(n.key)
	if err != nil {
		return nil, err
	}
	d := &door{
		ring: ring, home: n.home, key: key, sign: n.key.Sign, now: n.cfg.now, log: n.log,
		authority: passes.NewAuthority(ring.ID, ring.Key), spent: &passes.Spent{},
		saving: make(chan struct{}, 1), rotating: make(chan struct{}, 1),
	}
	d.list()
	return d, nil
}

// Pass implements p2p.Gate.
func (d *door) Pass() []byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.chain.Append(nil)
}

// Check implements p2p.Gate.
func (d *door) Check(id chord.PeerID, shown []byte) (rpc.Role, error) {
	if len(shown) == 0 {
		return rpc.RoleNone, errNotInvited
	}
	right, err := d.judge(id, shown)
	if err != nil {
		d.noteStrange(err)
		return rpc.RoleNone, bootstrap.PassError("its pass", err)
	}
	if right.Role < passes.Member && d.role() < passes.Member {
		return rpc.RoleNone, errTwoGuests
	}
	return rpc.Role(right.Role), nil
}

// errTwoGuests keeps guests apart: only a member may carry out their calls.
var errTwoGuests = &bootstrap.Error{Code: bootstrap.CodeRefused, Message: "both are guests, who talk to members alone"}

// judge returns what the peer may do that shows a pass.
func (d *door) judge(id chord.PeerID, shown []byte) (passes.Right, error) {
	chain, err := passes.ParseChain(shown)
	if err != nil {
		return passes.Right{}, err
	}
	key, err := passes.KeyOf(id)
	if err != nil {
		return passes.Right{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.authority.Verify(chain, key, d.now())
}

// checkSelf returns what is wrong with this peer's own pass.
func (d *door) checkSelf() error {
	if _, err := d.judge(d.key.PeerID(), d.Pass()); err != nil {
		return bootstrap.PassError("this peer's pass", err)
	}
	return nil
}

var errNotInvited = &bootstrap.Error{
	Code: bootstrap.CodeNotInvited, Message: "the ring is closed: who has no pass enters with a token",
	Fix: "peer invite (at an inviter of the ring), then peer run --join TOKEN",
}

// Admit implements p2p.Gate: it redeems a token, or says what is held against
// a pass.
func (d *door) Admit(id chord.PeerID, request []byte) []byte {
	a, err := d.admit(id, request)
	if err != nil {
		a = bootstrap.Admission{Refusal: &bootstrap.Error{Code: bootstrap.CodeRefused, Message: "the request cannot be served"}}
		var refusal *bootstrap.Error
		if errors.As(err, &refusal) {
			a.Refusal = refusal
		}
		d.log.Debug("stranger refused", "peer", p2p.FormatPeerID(id), "err", err)
	}
	b, err := a.Marshal()
	if err != nil {
		d.log.Error("answer a stranger", "err", err)
	}
	return b
}

func (d *door) admit(id chord.PeerID, request []byte) (bootstrap.Admission, error) {
	r, err := bootstrap.ParseAdmissionRequest(request)
	if err != nil {
		return bootstrap.Admission{}, err
	}
	switch {
	case r.Token != "":
		a, err := d.redeem(id, r.Token)
		if err == nil && a.Pass.Right().Invite {
			err = d.tellInviter(a.Pass)
		}
		return a, err
	case len(r.Pass) == 0:
		return bootstrap.Admission{}, errNotInvited
	}
	if _, err := d.judge(id, r.Pass); err != nil {
		return bootstrap.Admission{}, bootstrap.PassError("the pass", err)
	}
	chain, err := passes.ParseChain(r.Pass)
	return bootstrap.Admission{Decrees: d.introduce(chain)}, err
}

// redeem makes a pass for the peer that presents a token. That a token for one
// use is spent is on disk before.
func (d *door) redeem(id chord.PeerID, text string) (bootstrap.Admission, error) {
	token, err := passes.ParseToken(text)
	if err != nil {
		return bootstrap.Admission{}, bootstrap.PassError("the token", err)
	}
	joiner, err := passes.KeyOf(id)
	if err != nil {
		return bootstrap.Admission{}, bootstrap.PassError("the token", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	right, err := d.authority.Redeem(token, d.key, joiner, now)
	if err == nil {
		err = d.mayGrant(right)
	}
	if err != nil {
		return bootstrap.Admission{}, bootstrap.PassError("the token", err)
	}
	if err := d.spend(token, joiner, now); err != nil {
		return bootstrap.Admission{}, err
	}
	chain, err := d.grant(passes.Link{Key: joiner, Right: right, Issued: now})
	if err != nil {
		return bootstrap.Admission{}, err
	}
	ring := d.ring
	ring.Key = chain.Root
	d.log.Info("token redeemed", "peer", p2p.FormatPeerID(id), "role", right.Role.String(), "inviter", right.Invite)
	return bootstrap.Admission{Ring: ring, Pass: chain, Decrees: d.authority.Introduce(chain)}, nil
}

// tellInviter lets all peers know of an inviter, before it is one.
func (d *door) tellInviter(c passes.Chain) error {
	decree, err := passes.InviterOf(c)
	if err != nil {
		return err
	}
	fresh, err := d.learn(context.Background(), []passes.Decree{decree})
	d.announce(fresh)
	return err
}

// mayGrant reports why this peer cannot make somebody's pass.
func (d *door) mayGrant(right passes.Right) error {
	if !d.chain.Right().Invite {
		return fmt.Errorf("%w: this peer may not invite", passes.ErrInviter)
	}
	if right.Invite && d.ringKey == nil {
		return fmt.Errorf("%w: this peer does not have the ring's key", passes.ErrRight)
	}
	return nil
}

func (d *door) spend(t passes.Token, joiner passes.Key, now time.Time) error {
	changed, err := d.spent.Spend(t, joiner, now)
	if err != nil {
		return bootstrap.PassError("the token", err)
	}
	d.unspent = d.unspent || changed
	if !d.unspent || d.home == nil {
		return nil
	}
	if err := d.home.SaveSpent(d.spent); err != nil {
		return err
	}
	d.unspent = false
	return nil
}

// grant signs a link: by the ring's key for an inviter, by this peer's otherwise.
func (d *door) grant(l passes.Link) (passes.Chain, error) {
	if l.Invite {
		return passes.NewChain(d.ring.ID, d.authority.Root(), l, d.ringKey.Sign)
	}
	return d.chain.Extend(d.ring.ID, l, d.sign)
}
