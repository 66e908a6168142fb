package client

import "time"

// PutOptions are the choices of one put or delete. The zero value leaves them
// to the settings of the namespace: unless those say otherwise, a quorum write
// that never expires.
type PutOptions struct {
	TTL     time.Duration // time until the record expires; 0: as the namespace says
	Forever bool          // it never does
	W       Level         // replicas that must have stored it; "": as the namespace says
}

// PutOption changes one choice of a put or delete.
type PutOption func(*PutOptions)

// WithTTL makes the record expire after d, rounded up to a millisecond.
func WithTTL(d time.Duration) PutOption { return func(o *PutOptions) { o.TTL = d } }

// WithoutTTL keeps the record for ever, whatever its namespace says.
func WithoutTTL() PutOption { return func(o *PutOptions) { o.Forever, o.TTL = true, 0 } }

// WithW sets how many replicas must have stored the write.
func WithW(l Level) PutOption { return func(o *PutOptions) { o.W = l } }

// NewPutOptions applies opts in order.
func NewPutOptions(opts ...PutOption) PutOptions {
	var o PutOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// GetOptions are the choices of one get. The zero value leaves them to the
// settings of the namespace: unless those say otherwise, a quorum read.
type GetOptions struct {
	R Level // replicas whose answers are compared; "": as the namespace says
}

// GetOption changes one choice of a get.
type GetOption func(*GetOptions)

// WithR sets how many replicas must have answered the read.
func WithR(l Level) GetOption { return func(o *GetOptions) { o.R = l } }

// NewGetOptions applies opts in order.
func NewGetOptions(opts ...GetOption) GetOptions {
	var o GetOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}
