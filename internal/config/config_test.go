package config_test

import (
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"
)

// options have one setting of each kind, and fields that are none.
type options struct {
	Number   int
	Size     int64
	Small    int8
	On       bool
	Name     string
	Wait     time.Duration
	Mode     mode
	Network  netip.Prefix
	Networks []netip.Prefix
	Names    []string
	Waits    []time.Duration
	Table    inner
	Pointer  *inner
	Tables   []inner
	Pointers []*inner
	Count    *int
	HTTPPort int

	Func    func() `toml:"-"`
	Writer  io.Writer
	Hidden  int `toml:"-"`
	Locked  *sync.Mutex
	Float   float64
	Channel chan int
	Map     map[string]int
	private int
}

type inner struct {
	Number int
	Wait   time.Duration
	Deep   *deep
	Func   func()
}

type deep struct{ Name string }

// mode is an enumeration.
type mode int

func (m mode) MarshalText() ([]byte, error) {
	if m == 7 {
		return nil, errors.New("seven has no name")
	}
	return []byte([]string{"low", "high"}[m]), nil
}

func (m *mode) UnmarshalText(text []byte) error {
	switch string(text) {
	case "low":
		*m = 0
	case "high":
		*m = 1
	default:
		return errors.New("neither low nor high")
	}
	return nil
}
