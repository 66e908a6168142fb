package client

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/chorus-net/chorus/internal/wire"
)

// Put stores value under key, at most 512 KiB under at most 1,024 bytes. The
// receipt names the replicas that had stored it before Put returned. ErrQuorum
// means that fewer answered than asked for; the value may then become visible,
// or not.
func (c *Client) Put(ctx context.Context, key string, value []byte, opts ...PutOption) (Receipt, error) {
	if err := checkKey(key); err != nil {
		return Receipt{}, err
	}
	var r Receipt
	_, err := c.callKeys(ctx, wire.MethodCtlPut, putDoc(key, opts), value, &r)
	return r, err
}

// Delete removes key. Deleting what is not there is no error.
func (c *Client) Delete(ctx context.Context, key string, opts ...PutOption) (Receipt, error) {
	if err := checkKey(key); err != nil {
		return Receipt{}, err
	}
	var r Receipt
	_, err := c.callKeys(ctx, wire.MethodCtlDel, putDoc(key, opts), nil, &r)
	return r, err
}

// Get reads key. ErrNotFound means that a quorum of replicas knows no value.
func (c *Client) Get(ctx context.Context, key string, opts ...GetOption) (Record, error) {
	if err := checkKey(key); err != nil {
		return Record{}, err
	}
	o := NewGetOptions(opts...)
	var r Record
	value, err := c.callKeys(ctx, wire.MethodCtlGet, wire.ControlGet{Key: key, R: string(o.R)}, nil, &r)
	if err != nil {
		return Record{}, err
	}
	r.Value = value
	return r, nil
}

// List returns up to limit keys that begin with prefix and sort behind after,
// in order. Fewer than limit means that there are no more.
func (c *Client) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	for _, text := range []string{prefix, after} {
		if err := checkKey(text); err != nil {
			return nil, err
		}
	}
	var keys []string
	_, err := c.callKeys(ctx, wire.MethodCtlList, wire.ControlList{Prefix: prefix, After: after, Limit: limit}, nil, &keys)
	return keys, err
}

// checkKey refuses what a document cannot carry as it is. What else makes a
// good key is the peer's to say.
func checkKey(key string) error {
	if utf8.ValidString(key) {
		return nil
	}
	return &Error{Code: CodeBadKey, Message: fmt.Sprintf("key %.40q: it is not valid UTF-8", key)}
}

func putDoc(key string, opts []PutOption) wire.ControlPut {
	o := NewPutOptions(opts...)
	ms := (o.TTL + time.Millisecond - 1) / time.Millisecond
	return wire.ControlPut{Key: key, TTLms: int64(ms), Forever: o.Forever, W: string(o.W)}
}
