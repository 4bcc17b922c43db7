package enum_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/enum"
)

type colour int

var names = enum.Names[colour]{Type: "paint: Colour", List: []string{"red", "green"}}

func TestText(t *testing.T) {
	assert.Equal(t, "red", names.Text(0))
	assert.Equal(t, "green", names.Text(1))
	assert.Equal(t, "Colour(2)", names.Text(2))
	assert.Equal(t, "Colour(-1)", names.Text(-1))
}

func TestMarshal(t *testing.T) {
	text, err := names.Marshal(1)
	assert.NoError(t, err)
	assert.Equal(t, "green", string(text))
	for value, want := range map[colour]string{
		2:  "paint: Colour 2 has no name",
		-1: "paint: Colour -1 has no name",
	} {
		text, err := names.Marshal(value)
		assert.EqualError(t, err, want)
		assert.Nil(t, text)
	}
}

func TestParse(t *testing.T) {
	var c colour
	assert.NoError(t, names.Parse([]byte("green"), &c))
	assert.Equal(t, colour(1), c)
	for _, text := range []string{"", "Green", "blue", "green "} {
		assert.Error(t, names.Parse([]byte(text), &c))
	}
	assert.EqualError(
		t, names.Parse([]byte("b\r\n"), &c), `paint: Colour "b\r\n" is none of red, green`,
	)
	assert.Equal(t, colour(1), c)
}

// If zero is not a value of the enumeration, it has no name.
func TestTheZeroWithoutAName(t *testing.T) {
	names := enum.Names[colour]{Type: "paint: Colour", List: []string{"", "red", "green"}}
	assert.Equal(t, "Colour(0)", names.Text(0))
	assert.False(t, names.Has(0))
	assert.True(t, names.Has(1))
	_, err := names.Marshal(0)
	assert.EqualError(t, err, "paint: Colour 0 has no name")
	c := colour(2)
	assert.EqualError(t, names.Parse(nil, &c), `paint: Colour "" is none of red, green`)
	assert.Equal(t, colour(2), c)
	assert.NoError(t, names.Parse([]byte("red"), &c))
	assert.Equal(t, colour(1), c)
}
