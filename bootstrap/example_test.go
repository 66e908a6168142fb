package bootstrap_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/bootstrap/pass"
)

// The first peer of a ring: a home, an identity, and the ring's description.
func ExampleOpenHome() {
	dir, err := os.MkdirTemp("", "chorus-home-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	home, err := bootstrap.OpenHome(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer home.Close()
	ring, err := bootstrap.NewRing("choir", pass.Key{}, 256, 3, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := home.Create(ring); err != nil {
		fmt.Println(err)
		return
	}
	key, err := home.Identity()
	fmt.Println(ring.Name, key.Type(), err)
	// Output: choir Ed25519 <nil>
}

// A joiner asks whoever it was pointed at which ring they serve.
func ExampleFind() {
	places, err := bootstrap.ParsePlaces([]string{
		"/ip4/192.0.2.7/tcp/4747/p2p/12D3KooWCtgLB35RpjwhC4Hwgj2ZbSsN7WRMiDdBQg9mExHX659m",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	rng := rand.New(rand.NewPCG(1, 2))
	ask := func(context.Context, bootstrap.Contact) (bootstrap.Ring, error) {
		return bootstrap.Ring{Name: "choir"}, nil // a program dials here and calls ReadRing
	}
	ring, err := bootstrap.Find(context.Background(), bootstrap.Order(places.Contacts, nil, rng), rng, ask)
	fmt.Println(ring.Name, err)

	_, err = bootstrap.ParsePlaces([]string{"192.0.2.7:4747"})
	fmt.Println(err)
	// Output:
	// choir <nil>
	// address "192.0.2.7:4747": a host and a port do not say which peer must answer
}
