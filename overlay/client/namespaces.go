package client

import (
	"context"
	"time"

	"github.com/chorus-net/chorus/internal/wire"
)

// Namespace holds what calls on keys of a namespace, "NAME/key", do unless they
// say otherwise. Keys without a namespace have the zero settings.
type Namespace struct {
	Name string `json:"name"`
	// W and R are the levels of puts, deletes and gets; empty: quorum.
	W Level `json:"w,omitempty"`
	R Level `json:"r,omitempty"`
	// TTL is how long what is put lasts; 0: for ever.
	TTL time.Duration `json:"ttl_ns,omitempty"`
	// Class says what the keys are: "eventual", the last write wins. It is told,
	// not set: there is no other yet.
	Class string `json:"class"`
	// Replicas is the number of voters of each key. It can be set, to 1 to 7, while
	// the namespace has no keys and the number of the ring, for good; 0 leaves it.
	Replicas int `json:"replicas"`
	// Version is that of the settings; empty: they were never set.
	Version string `json:"version,omitempty"`
}

// Namespace returns the settings of a namespace, as a quorum has them.
func (c *Client) Namespace(ctx context.Context, name string) (Namespace, error) {
	if err := checkKey(name); err != nil {
		return Namespace{}, err
	}
	var ns Namespace
	_, err := c.call(ctx, wire.MethodCtlNamespace, wire.ControlName{ID: name}, nil, &ns)
	return ns, err
}

// Namespaces returns up to limit namespaces that have settings, in the order of
// their names, from behind after on.
func (c *Client) Namespaces(ctx context.Context, after string, limit int) ([]Namespace, error) {
	if err := checkKey(after); err != nil {
		return nil, err
	}
	var list []Namespace
	_, err := c.call(ctx, wire.MethodCtlNamespaces, wire.ControlList{After: after, Limit: limit}, nil, &list)
	return list, err
}

// SetNamespace changes the settings of a namespace: W, R and TTL, by which all peers
// go within 5 s, and Replicas, by which they go at once.
func (c *Client) SetNamespace(ctx context.Context, ns Namespace) (Receipt, error) {
	if err := checkKey(ns.Name); err != nil {
		return Receipt{}, err
	}
	var r Receipt
	_, err := c.call(ctx, wire.MethodCtlSetNamespace, ns, nil, &r)
	return r, err
}
