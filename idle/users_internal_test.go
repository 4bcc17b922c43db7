package idle

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsersLeaveNothingBehind(t *testing.T) {
	u := newUsers(2)
	first, second := u.acquire("karen"), u.acquire("Karen")
	require.NotNil(t, first)
	require.NotNil(t, second)
	assert.Nil(t, u.acquire("KAREN"))
	first()
	first() // the place is given back once
	third := u.acquire("karen")
	require.NotNil(t, third)
	assert.Nil(t, u.acquire("karen"))
	second()
	third()
	assert.Empty(t, u.count)
}
