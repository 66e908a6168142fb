package overlay

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/internal/p2p"
)

// finder finds out which ring a starting peer belongs to, and whether it is let
// in.
type finder struct {
	n        *Node
	places   bootstrap.Places // as given
	contacts []bootstrap.Contact
	book     *bootstrap.Book
	rng      *rand.Rand
}

// checkTime bounds what a peer that has a ring asks before it starts: the others
// may be down as well.
const checkTime = 2 * time.Second

// checkRing refuses peers of another ring than the home's, and passes that the
// others do not take, as far as they answer soon.
func (f *finder) checkRing(ctx context.Context) error {
	for _, t := range f.places.Tokens {
		if !isOf(t, f.n.ring) {
			return &bootstrap.Error{
				Code: bootstrap.CodeWrongRing, Message: "the token is of another ring than home " + f.n.home.Dir(),
				Fix: "join from another home (--home DIR), or start this one without --join",
			}
		}
	}
	if !f.n.ring.Open {
		return f.checkPass(ctx)
	}
	if len(f.places.Contacts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	ring, err := f.askRing(ctx, f.places.Contacts)
	var e *bootstrap.Error
	switch {
	case err == nil:
		return f.n.home.Join(ring)
	case errors.As(err, &e) && e.Code == bootstrap.CodeNotInvited:
		return err
	}
	f.n.log.Info("peers to join by do not answer", "err", err)
	return nil
}

func isOf(t passes.Token, r bootstrap.Ring) bool {
	return string(t.Ring[:]) == string(r.ID[:len(t.Ring)])
}

// checkPass refuses to start with a pass that all refuse who answer.
func (f *finder) checkPass(ctx context.Context) (err error) {
	if f.n.door, err = f.n.openDoor(f.n.ring); err != nil {
		return err
	}
	if err := f.n.door.checkSelf(); err != nil {
		return err
	}
	if len(f.contacts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	refusal, err := f.askNews(ctx, f.contacts)
	if refusal == nil && err != nil {
		f.n.log.Info("peers of the ring do not answer", "err", err)
		return nil
	}
	return refusal
}

// askNews shows contacts this peer's pass, and learns of the ring's keys from the first that
// holds nothing against it. If all do who answer, it returns what one of them holds.
func (f *finder) askNews(ctx context.Context, contacts []bootstrap.Contact) (refusal, err error) {
	refused := make(chan error, 1)
	a, err := f.askIn(ctx, contacts, bootstrap.AdmissionRequest{Pass: f.n.door.Pass()}, func(_ bootstrap.Contact, refusal error) {
		select {
		case refused <- refusal:
		default:
		}
	})
	if err != nil {
		select {
		case refusal = <-refused:
		default:
		}
		return refusal, err
	}
	fresh, err := f.n.door.learn(ctx, a.Decrees)
	if f.n.spread != nil {
		f.n.spread.learnt(fresh)
	}
	return nil, err
}

// joinRing asks the contacts what their ring is, and makes the home one of it.
func (f *finder) joinRing(ctx context.Context) error {
	ring, err := f.askRing(ctx, f.contacts)
	if err != nil {
		return err
	}
	if err := f.n.checkName(ring); err != nil {
		return err // the home stays free to join another one
	}
	return f.enter(ring)
}

// redeem exchanges a token for a pass, and makes the home one of its ring.
func (f *finder) redeem(ctx context.Context) error {
	var errs []error
	for _, t := range f.places.Tokens {
		a, err := f.redeemToken(ctx, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := f.n.checkName(a.Ring); err != nil {
			return err
		}
		d, err := f.n.newDoor(a.Ring)
		if err != nil {
			return err
		}
		d.chain = a.Pass
		if err := d.checkSelf(); err != nil {
			return err
		}
		if _, err := d.learn(ctx, a.Decrees); err != nil {
			return err
		}
		f.n.door = d
		if f.n.home != nil {
			if err := f.n.home.SavePass(a.Pass); err != nil {
				return err
			}
		}
		return f.enter(a.Ring)
	}
	return errors.Join(errs...)
}

// redeemToken presents a token to its inviter, and to the other contacts if they
// may redeem it as well. What the inviter refuses is refused.
func (f *finder) redeemToken(ctx context.Context, t passes.Token) (bootstrap.Admission, error) {
	if err := t.CheckClock(f.n.cfg.now()); err != nil {
		return bootstrap.Admission{}, bootstrap.PassError("the token", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inviter := t.Inviter.Key.PeerID()
	refused := make(chan error, 1)
	var contacts []bootstrap.Contact
	for _, c := range f.places.Contacts {
		if c.ID == inviter || !t.AtInviter() {
			contacts = append(contacts, c)
		}
	}
	a, err := f.askIn(ctx, contacts, bootstrap.AdmissionRequest{Token: t.String()}, func(c bootstrap.Contact, refusal error) {
		if c.ID != inviter {
			return
		}
		select {
		case refused <- refusal:
			cancel()
		default:
		}
	})
	select {
	case refusal := <-refused:
		return bootstrap.Admission{}, refusal
	default:
	}
	if err == nil && (len(a.Pass.Links) == 0 || !isOf(t, a.Ring)) {
		err = &bootstrap.Error{Code: bootstrap.CodeRefused, Message: "the token was answered with another ring than its own"}
	}
	return a, err
}

// enter makes the home one of the ring. The contacts are kept first: a home that
// belongs to a ring and knows nobody would take itself for the ring's first.
func (f *finder) enter(ring bootstrap.Ring) error {
	f.n.ring = ring
	if f.n.home == nil {
		return nil
	}
	for _, c := range slices.Concat(f.places.Contacts, f.places.Relays) {
		f.book.Seen(c, time.Now())
	}
	if err := f.n.home.SaveBook(f.book); err != nil {
		return err
	}
	return f.n.home.Join(ring)
}

// askRing asks contacts what their open ring is until one answers. One of a
// closed ring says that it is.
func (f *finder) askRing(ctx context.Context, contacts []bootstrap.Contact) (bootstrap.Ring, error) {
	return bootstrap.Find(ctx, contacts, f.rng, func(ctx context.Context, c bootstrap.Contact) (bootstrap.Ring, error) {
		var errs []error
		for _, addr := range c.Multiaddrs() {
			text, err := p2p.AskRing(ctx, f.n.cfg.Host, addr)
			if err == nil {
				return bootstrap.ParseRing(text)
			}
			if _, refusal := f.ask(ctx, addr, []byte(`{"format":1}`)); isRefusal(refusal) {
				return bootstrap.Ring{}, refusal
			}
			errs = append(errs, err)
		}
		return bootstrap.Ring{}, errors.Join(errs...)
	})
}

// askIn makes contacts of a closed ring the same request until one does not
// refuse it, all addresses beside each other. What is refused goes to refused.
func (f *finder) askIn(ctx context.Context, contacts []bootstrap.Contact, r bootstrap.AdmissionRequest, refused func(bootstrap.Contact, error)) (bootstrap.Admission, error) {
	request, err := r.Marshal()
	if err != nil {
		return bootstrap.Admission{}, err
	}
	var each []bootstrap.Contact
	for _, c := range contacts {
		for _, a := range c.Addrs {
			each = append(each, bootstrap.Contact{ID: c.ID, Addrs: []string{a}})
		}
	}
	return bootstrap.Find(ctx, each, f.rng, func(ctx context.Context, c bootstrap.Contact) (bootstrap.Admission, error) {
		a, err := f.ask(ctx, c.Multiaddrs()[0], request)
		if isRefusal(err) {
			refused(c, err)
		}
		return a, err
	})
}

// ask makes a request at one address.
func (f *finder) ask(ctx context.Context, addr string, request []byte) (bootstrap.Admission, error) {
	b, err := p2p.AskAdmission(ctx, f.n.key, addr, request)
	if errors.Is(err, p2p.ErrNoAdmission) {
		return bootstrap.Admission{}, &bootstrap.Error{
			Code: bootstrap.CodeWrongRing, Message: addr + " is of no closed ring", Err: err,
			Fix: "peer run --join MULTIADDR, if its ring is an open one",
		}
	}
	if err != nil {
		return bootstrap.Admission{}, err
	}
	a, err := bootstrap.ParseAdmission(b)
	if err == nil && a.Refusal != nil {
		err = a.Refusal
	}
	return a, err
}

// isRefusal reports whether err is what a gate holds against this peer.
func isRefusal(err error) bool {
	var e *bootstrap.Error
	return errors.As(err, &e) && !errors.Is(err, p2p.ErrNoAdmission)
}
