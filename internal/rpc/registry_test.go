package rpc_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/internal/rpc"
)

func TestRegistryList(t *testing.T) {
	want := []rpc.Listing{
		{Method: methodEcho, Spec: rpc.Spec{Name: "echo", MaxBytes: 1 << 20, Inline: true}},
		{Method: methodLater, Spec: rpc.Spec{Name: "later", MaxBytes: 1 << 20}},
		{Method: 9, Spec: rpc.Spec{Name: "small", Role: rpc.RoleControl, MaxBytes: rpc.DefaultMaxBytes}},
	}
	r := echoes()
	r.Handle(9, rpc.Spec{Name: "small", Role: rpc.RoleControl}, nothing)
	if diff := cmp.Diff(want, r.List()); diff != "" {
		t.Error(diff)
	}
}

func nothing(context.Context, *rpc.Request) ([]byte, error) { return nil, nil }

func TestRegistryPanics(t *testing.T) {
	for name, register := range map[string]func(*rpc.Registry){
		"method taken": func(r *rpc.Registry) { r.Handle(methodEcho, rpc.Spec{Name: "other"}, nothing) },
		"name taken":   func(r *rpc.Registry) { r.Handle(9, rpc.Spec{Name: "echo"}, nothing) },
		"no name":      func(r *rpc.Registry) { r.Handle(9, rpc.Spec{}, nothing) },
		"no handler":   func(r *rpc.Registry) { r.Handle(9, rpc.Spec{Name: "nine"}, nil) },
		"below zero":   func(r *rpc.Registry) { r.Handle(9, rpc.Spec{Name: "nine", MaxBytes: -1}, nothing) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			register(echoes())
		})
	}
}

func TestRoles(t *testing.T) {
	roles := []rpc.Role{rpc.RoleNone, rpc.RoleRead, rpc.RoleSubmit, rpc.RoleMember, rpc.RoleControl}
	for i, have := range roles {
		for j, need := range roles {
			if have.Allows(need) != (i >= j) {
				t.Errorf("%s allows %s: %t", have, need, have.Allows(need))
			}
		}
	}
	if s := rpc.Role(77).String(); s != "unknown" {
		t.Errorf("role 77 is %q", s)
	}
}
