package limits_test

import (
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/limits"
)

func TestValidateNamesTheFieldAndTheValue(t *testing.T) {
	typ := reflect.TypeFor[limits.Options]()
	checked := 0
	for i := range typ.NumField() {
		field := typ.Field(i)
		switch field.Type {
		case reflect.TypeFor[int](), reflect.TypeFor[int64](), reflect.TypeFor[time.Duration]():
		default:
			continue
		}
		checked++
		options := limits.DefaultOptions()
		reflect.ValueOf(options).Elem().Field(i).SetInt(-7)
		err := options.Validate()
		if assert.Error(t, err, field.Name) {
			assert.Regexp(t, `^limits: `+field.Name+` is -7(ns)?: `, err.Error())
		}
		assert.PanicsWithError(t, err.Error(), func() { limits.New(options) })
	}
	assert.GreaterOrEqual(t, checked, 11)
	none := &limits.Options{Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), {}}}
	assert.EqualError(t, none.Validate(), "limits: Exempt[1] is invalid Prefix: it must be a network")
	assert.EqualError(
		t, (&limits.Options{JoinRunning: true}).Validate(),
		"limits: JoinRunning is true: it needs ShareSearches",
	)
	assert.NoError(t, limits.DefaultOptions().Validate())
	assert.NoError(t, (&limits.Options{}).Validate())
}

func TestABadSetOptionsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &backend{}, &limits.Options{MaxLoginsPerUser: 1})
		s.login("192.0.2.1", "karen")
		assert.EqualError(t, s.limiter.SetOptions(&limits.Options{MaxFetches: -1}),
			"limits: MaxFetches is -1: it must be 0 (no limit) or more")
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
	})
}

func TestOptionsAreCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &limits.Options{MaxLoginsPerUser: 1}
		s := serve(t, &backend{}, options)
		options.MaxLoginsPerUser = 2
		s.login("192.0.2.1", "karen")
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
	})
}

func TestSetOptionsChangesTheLimitsOfConnectionsAndLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(
			t, &backend{login: slowCheck(time.Second)},
			&limits.Options{MaxLoginsPerUser: 1, MaxConnections: 100},
		)
		first, _ := s.login("192.0.2.1", "karen")
		_, answer := s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)

		// A raised limit also holds for waiting logins: nine are checked at once, not one after the
		// other.
		s.limiter.SetOptions(&limits.Options{MaxLoginsPerUser: 2, MaxConnections: 100})
		answers := make(chan map[string]int, 1)
		go func() { answers <- s.storm(9, "192.0.2.1", "karen", "pass") }()
		synctest.Wait()
		assert.Equal(t, 1, s.limiter.Stats().LoginChecks)
		s.limiter.SetOptions(&limits.Options{MaxLoginsPerUser: 10, MaxConnections: 100})
		assert.Equal(t, 9, s.limiter.Stats().LoginChecks)
		assert.Equal(t, map[string]int{"OK": 9}, <-answers)

		// A lowered limit disconnects nobody, and lets nobody in.
		s.limiter.SetOptions(&limits.Options{MaxLoginsPerUser: 1, MaxConnections: 10})
		assert.Equal(t, []string{"* BYE [LIMIT] Too many connections"}, s.Dial().Rest())
		first.Cmd("z LOGOUT")
		synctest.Wait()
		s.inUse(limits.Stats{Connections: 9, Sessions: 9})
		_, answer = s.login("192.0.2.1", "karen")
		assert.Equal(t, noUserLogins, answer)
	})
}
