"""The demo market: six fictitious shops in Chongqing, their products, staff and buyers."""
