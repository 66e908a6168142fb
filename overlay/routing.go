package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
)

// Validator judges the values of routing keys, such as IPNS records. The
// validators of go-libp2p-record are of this form.
type Validator interface {
	// Validate returns an error for a value that must not be stored under key,
	// or not be believed any more.
	Validate(key string, value []byte) error
	// Select returns the index of the best of several valid values.
	Select(key string, values [][]byte) (int, error)
}

// RoutingOption changes what Node.Routing returns.
type RoutingOption func(*nodeRouting)

// WithValidator makes routing refuse values that v refuses, and values that
// are worse than the present one. Without it, any value is stored, and the last
// one wins.
func WithValidator(v Validator) RoutingOption {
	return func(r *nodeRouting) { r.validator = v }
}

// Routing returns the node as libp2p's routing.Routing, for what is built on
// libp2p: discovery by rendezvous, IPNS, content routing.
//
// Values are records of the ring: replicated, synced to disk and kept until they
// are deleted. Node.Delete of RoutingKey(key) does that. Peers are found in the
// ring, and outside of it by Kademlia. Provider records are Kademlia's own: they
// are kept in memory, by the peers nearest to the key, for two days at the
// most, so a provider repeats them.
//
// A read heeds kad-dht's option Quorum: 1 takes the first value found, more than
// a majority of the replicas is Level All, everything else Level Quorum. With
// routing.Offline a call is routing.ErrNotSupported, since values live where the
// ring places them. A guest of the ring is in no Kademlia: it finds members only, and
// cannot provide. SearchValue yields the one value that GetValue returns, and
// like it waits for it.
func (n *Node) Routing(opts ...RoutingOption) routing.Routing {
	r := &nodeRouting{n: n}
	for _, o := range opts {
		o(r)
	}
	return r
}

// routingNamespace holds the values of routing keys.
const routingNamespace = "routing"

// RoutingKey returns the key under which Node.Routing keeps the value of a
// routing key. That may be any bytes; those that a URL's path would escape are
// escaped as there, so that routing keys can be listed and typed:
// RoutingKey("/v/hello") is "routing//v/hello".
func RoutingKey(key string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString(routingNamespace + "/")
	for _, c := range []byte(key) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/-._~:@", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

// nodeRouting is a Node as libp2p's routing.
type nodeRouting struct {
	n         *Node
	validator Validator // nil: every value is good
}

var _ routing.Routing = (*nodeRouting)(nil)

// ready refuses calls that are over before they begin.
func (r *nodeRouting) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !r.n.Alive() {
		return ErrClosed
	}
	return nil
}

// PutValue implements routing.ValueStore.
func (r *nodeRouting) PutValue(ctx context.Context, key string, value []byte, opts ...routing.Option) error {
	if _, err := r.level(ctx, key, opts); err != nil {
		return err
	}
	if r.validator != nil {
		if err := r.mayReplace(ctx, key, value); err != nil {
			return err
		}
	}
	_, err := r.n.Put(ctx, RoutingKey(key), value)
	return err
}

// mayReplace refuses a value that is bad, or worse than the present one.
// Between two that are put at one time, the last one wins nevertheless.
func (r *nodeRouting) mayReplace(ctx context.Context, key string, value []byte) error {
	if err := r.validator.Validate(key, value); err != nil {
		return fmt.Errorf("put value: %w", err)
	}
	old, err := r.read(ctx, key, Quorum)
	switch {
	case errors.Is(err, routing.ErrNotFound):
		return nil
	case err != nil:
		return err
	case bytes.Equal(old, value):
		return nil
	}
	best, err := r.validator.Select(key, [][]byte{value, old})
	if err != nil {
		return fmt.Errorf("put value: %w", err)
	}
	if best != 0 {
		return &client.Error{Code: client.CodeUsage, Message: "put value: a newer value cannot be replaced with an older one"}
	}
	return nil
}

// GetValue implements routing.ValueStore.
func (r *nodeRouting) GetValue(ctx context.Context, key string, opts ...routing.Option) ([]byte, error) {
	level, err := r.level(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	value, err := r.read(ctx, key, level)
	if level == One && errors.Is(err, routing.ErrNotFound) {
		// The one replica that was asked may be behind the others.
		return r.read(ctx, key, Quorum)
	}
	return value, err
}

// SearchValue implements routing.ValueStore.
func (r *nodeRouting) SearchValue(ctx context.Context, key string, opts ...routing.Option) (<-chan []byte, error) {
	value, err := r.GetValue(ctx, key, opts...)
	found := make(chan []byte, 1)
	defer close(found)
	switch {
	case errors.Is(err, routing.ErrNotFound):
		return found, nil
	case err != nil:
		return nil, err
	}
	found <- value
	return found, nil
}

// read returns the value of a key. One that is not valid, or not any more, is
// as good as none.
func (r *nodeRouting) read(ctx context.Context, key string, level Level) ([]byte, error) {
	rec, err := r.n.Get(ctx, RoutingKey(key), WithR(level))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, routing.ErrNotFound
	case err != nil:
		return nil, err
	case r.validator != nil && r.validator.Validate(key, rec.Value) != nil:
		return nil, routing.ErrNotFound
	}
	return rec.Value, nil
}

// level checks a call that concerns a value, and returns how many replicas it
// reads from.
func (r *nodeRouting) level(ctx context.Context, key string, opts []routing.Option) (Level, error) {
	if err := r.ready(ctx); err != nil {
		return "", err
	}
	if key == "" {
		return "", &client.Error{Code: client.CodeBadKey, Message: "routing key: it is empty"}
	}
	var o routing.Options
	if err := o.Apply(opts...); err != nil {
		return "", err
	}
	if o.Offline {
		return "", routing.ErrNotSupported
	}
	switch need := p2p.RoutingQuorum(&o); {
	case need == 1:
		return One, nil
	case need > r.n.ring.Replicas/2+1:
		return All, nil
	default:
		return Quorum, nil
	}
}

// FindPeer implements routing.PeerRouting.
func (r *nodeRouting) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	if err := r.ready(ctx); err != nil {
		return peer.AddrInfo{}, err
	}
	if err := id.Validate(); err != nil {
		return peer.AddrInfo{}, err
	}
	n := r.n
	if chord.PeerID(id) == n.self.Peer {
		return addrInfo(id, n.host.Addrs()), nil
	}
	if p, ok := n.view().Peer(chord.PeerID(id)); ok && len(p.Addrs) > 0 && !n.view().Suspect(p.ID) {
		return addrInfo(id, p.Addrs), nil
	}
	if n.guest != nil {
		return peer.AddrInfo{}, routing.ErrNotFound
	}
	info, err := n.host.Kad().FindPeer(ctx, id)
	if p2p.IsAlone(err) {
		err = routing.ErrNotFound
	}
	return info, err
}

// addrInfo names a peer in libp2p's terms. Addresses that cannot be read are
// left out: they come from other peers.
func addrInfo(id peer.ID, addrs []string) peer.AddrInfo {
	info := peer.AddrInfo{ID: id}
	for _, s := range addrs {
		if a, err := multiaddr.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info
}

// Provide implements routing.ContentProviding. In a ring of one, that peer
// knows, and nobody else is there to be told.
func (r *nodeRouting) Provide(ctx context.Context, key cid.Cid, announce bool) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	if r.n.guest != nil {
		return routing.ErrNotSupported
	}
	err := r.n.host.Kad().Provide(ctx, key, announce)
	if p2p.IsAlone(err) && r.n.view().Len() < 2 {
		return nil
	}
	return err
}

// FindProvidersAsync implements routing.ContentDiscovery.
func (r *nodeRouting) FindProvidersAsync(ctx context.Context, key cid.Cid, limit int) <-chan peer.AddrInfo {
	if r.ready(ctx) != nil || r.n.guest != nil {
		none := make(chan peer.AddrInfo)
		close(none)
		return none
	}
	return r.n.host.Kad().FindProvidersAsync(ctx, key, limit)
}

// alignKad makes Kademlia's routing table follow the ring.
func (n *Node) alignKad(v *chord.View, found []chord.PeerID) {
	n.host.OfferKad(found...)
	if v.Complete() {
		n.host.PruneKad(func(id chord.PeerID) bool { _, ok := v.Peer(id); return ok })
	}
}

// Bootstrap implements routing.Routing: it fills Kademlia's routing table from
// the ring, and has it looked after. A Node does so by itself.
func (r *nodeRouting) Bootstrap(ctx context.Context) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	if r.n.guest != nil {
		return nil
	}
	for _, p := range r.n.view().Peers() {
		r.n.host.OfferKad(p.ID)
	}
	return r.n.host.Kad().Bootstrap(ctx)
}
